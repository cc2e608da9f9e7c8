// What market data there is, which bars can be made of it, and how a range lies in it.

import type { Answer } from "../../http";
import schema from "../../wire/request.json";

/** Bars that are missing, as a run's warnings judge it: days on which a market is closed are none. */
export type Gap = Answer<"/api/algo/data/{symbol}/{interval}/gaps", "get">["gaps"][number];

/** One stored series, as `GET /api/algo/data` lists it. */
export interface Series {
  symbol: string;
  interval: string;
  source: string | null;
  bars: number;
  start: string;
  end: string;
}

export const INTERVALS: string[] = schema.properties.interval.enum;
const UNIT_MS: Record<string, number> = { m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000, M: 2_592_000_000 };
export const DAY_MS = 86_400_000;

/** How long a bar is; a month counts 30 days. */
export function intervalMs(interval: string): number {
  return (Number.parseInt(interval, 10) || 1) * (UNIT_MS[interval.at(-1) ?? "d"] ?? DAY_MS);
}

/** Whether bars of `interval` can be made of stored ones: months are made of what divides a day. */
function madeOf(interval: string, stored: string): boolean {
  if (interval === stored) return true;
  const whole = interval === "1M" ? DAY_MS : intervalMs(interval);
  return stored !== "1M" && intervalMs(stored) < intervalMs(interval) && whole % intervalMs(stored) === 0;
}

/** The series that bars of a market are read from: the stored one, else the coarsest that divides them. */
export function servedBy(all: Series[], symbol: string, interval: string): Series | undefined {
  const fit = all.filter((one) => one.symbol === symbol && madeOf(interval, one.interval));
  return fit.sort((a, b) => intervalMs(b.interval) - intervalMs(a.interval))[0];
}

export function intervalsOf(all: Series[], symbol: string): string[] {
  return INTERVALS.filter((interval) => servedBy(all, symbol, interval));
}

/** Where a newcomer begins: daily bars where there are some, which everybody knows; else the first there is. */
export function firstChoice(all: Series[]): Series | undefined {
  return all.find((one) => one.interval === "1d" && one.bars >= 100) ?? all[0];
}

/** A date where it is midnight, else an instant: as short as the API takes it. */
export function asDate(ms: number): string {
  const text = new Date(ms).toISOString().replace(".000Z", "Z");
  return text.endsWith("T00:00:00Z") ? text.slice(0, 10) : text;
}

export function msOf(date: unknown): number | null {
  if (typeof date !== "string" || !/^\d{4}-\d\d-\d\d/.test(date)) return null;
  const ms = Date.parse(date);
  return Number.isNaN(ms) ? null : ms;
}

export interface Judgement {
  field: "startDate" | "endDate";
  kind: "bad" | "warn";
  text: string;
}

/** How a range lies in the data, in the words of who is asked to correct it. The gateway has the last word. */
export function judge(series: Series, startDate: unknown, endDate: unknown): Judgement[] {
  const [start, end] = [msOf(startDate), msOf(endDate)];
  const [first, last] = [Date.parse(series.start), Date.parse(series.end)];
  const bad = (field: Judgement["field"], text: string): Judgement[] => [{ field, kind: "bad", text }];
  if (start === null) return bad("startDate", "must be a date");
  if (end === null) return bad("endDate", "must be a date");
  if (start >= end) return bad("endDate", "must be after the first day");
  if (end <= first) return bad("endDate", `must be after the first bar, ${asDate(first)}`);
  if (start >= last) return bad("startDate", `must be before the last bar ends, ${asDate(last)}`);
  const said: Judgement[] = [];
  if (start < first) said.push({ field: "startDate", kind: "warn", text: `The data begin later: the run would begin on ${asDate(first)}.` });
  if (end > last) said.push({ field: "endDate", kind: "warn", text: `The data end earlier: the run would end on ${asDate(last)}.` });
  return said;
}

/** Markets whose name or source has all the words of a search; those whose name begins so come first. */
export function found(all: Series[], search: string): string[] {
  const words = search.toLowerCase().split(/\s+/).filter(Boolean);
  const text = new Map<string, string>();
  for (const one of all) text.set(one.symbol, `${text.get(one.symbol) ?? one.symbol} ${one.interval} ${one.source ?? ""}`.toLowerCase());
  const hits = [...text].filter(([, words_]) => words.every((word) => words_.includes(word))).map(([symbol]) => symbol);
  const begins = (symbol: string) => Number(!symbol.toLowerCase().startsWith(words[0] ?? ""));
  return hits.sort((a, b) => begins(a) - begins(b) || a.localeCompare(b));
}
