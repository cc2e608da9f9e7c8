// How the list of backtests that is shown takes in what is newly known: the order stays, and what has ended stays so.

import type { Complete, Failure, Progress } from "../../wire/messages";
import type { components } from "../../wire/openapi";

export type Backtest = components["schemas"]["Backtest"];
export type Status = Backtest["status"];

const ENDED: ReadonlySet<Status> = new Set<Status>(["completed", "failed", "stopped"]);
export const STATUSES: Status[] = ["running", "paused", "pending", "completed", "failed", "stopped"];

export const hasEnded = (one: { status: Status }): boolean => ENDED.has(one.status);

/** Newest first; of one instant by their ids, character by character: as the gateway orders them. */
function before(left: Backtest, right: Backtest): number {
  const byTime = Date.parse(right.createdAt) - Date.parse(left.createdAt);
  return byTime || (left.backtestId === right.backtestId ? 0 : left.backtestId > right.backtestId ? -1 : 1);
}

/** An answer may have been on its way while the news of an end arrived: an end is never taken back. */
function newer(known: Backtest | undefined, fresh: Backtest): Backtest {
  return known && hasEnded(known) && !hasEnded(fresh) ? known : fresh;
}

/** The rows with those of a page among them, each once. */
export function merged(rows: Backtest[], page: Backtest[]): Backtest[] {
  const known = new Map(rows.map((one) => [one.backtestId, one]));
  const fresh = new Map(page.map((one) => [one.backtestId, newer(known.get(one.backtestId), one)]));
  const kept = rows.map((one) => fresh.get(one.backtestId) ?? one);
  return [...kept, ...page.filter((one) => !known.has(one.backtestId))].sort(before);
}

/** Those of a page that are newer than all rows: they would push down what one reads. */
export function arrived(rows: Backtest[], page: Backtest[]): Backtest[] {
  const first = rows[0];
  return first ? page.filter((one) => before(one, first) < 0) : [];
}

/** Rows that the page should have held, as far as it goes, and did not: deleted, or not of the filter any more. */
export function missing(rows: Backtest[], page: Backtest[], isLast: boolean): Backtest[] {
  const there = new Set(page.map((one) => one.backtestId));
  const end = page.at(-1);
  return rows.filter((one) => !there.has(one.backtestId) && (isLast || (end !== undefined && before(one, end) < 0)));
}

/** Whether nothing can be missing between the rows and a newer page: else so many came at once that the rows are old. */
export function adjoins(rows: Backtest[], page: { items: Backtest[]; nextCursor: string | null }): boolean {
  const known = new Set(rows.map((one) => one.backtestId));
  return page.nextCursor === null || !rows.length || page.items.some((one) => known.has(one.backtestId));
}

export function started(one: Backtest): Backtest {
  return hasEnded(one) || one.status === "running" ? one : { ...one, status: "running" };
}

export function standing(one: Backtest, status: "paused" | "running", told: { progressPercent: number }): Backtest {
  return hasEnded(one) ? one : { ...one, status, progress: told.progressPercent };
}

export function completed(one: Backtest, told: Complete): Backtest {
  return {
    ...one,
    status: told.stopped ? "stopped" : "completed",
    progress: told.stopped ? one.progress : 100,
    resultId: told.resultId,
    completedAt: told.timestamp ?? one.completedAt,
  };
}

export function failed(one: Backtest, told: Failure): Backtest {
  return { ...one, status: "failed", completedAt: told.timestamp, error: { code: told.code ?? null, message: told.error } };
}

/** Percent that it has won or lost so far; null where it has not said, or from what. */
export function returnSoFar(one: Backtest, told: Progress | undefined): number | null {
  const capital = one.params["initialCapital"];
  return told?.currentPnl == null || typeof capital !== "number" || capital <= 0 ? null : (100 * told.currentPnl) / capital;
}

/** "fast 10, slow 30": what tells two backtests of one strategy apart. Texts and rules are too long for a list. */
function settings(all: unknown, name: string): string {
  const own: unknown = all && typeof all === "object" ? (all as Record<string, unknown>)[name] : null;
  const shown = own && typeof own === "object" ? Object.entries(own).filter(([, value]) => typeof value === "number" || typeof value === "boolean") : [];
  return shown.map(([key, value]) => `${key} ${value}`).join(", ");
}

/** What was asked for, as a list shows it. Parameters are whatever was sent: nothing of them is sure. */
export function described(one: Backtest): { symbol: string; interval: string; strategies: string; period: string; details: string } {
  const { symbol, interval, startDate, endDate, strategies, strategyParams, combine } = one.params;
  const text = (value: unknown) => (typeof value === "string" ? value : "");
  const names = Array.isArray(strategies) ? strategies.map((name) => (typeof name === "string" ? name : "rules")) : [];
  const short = (value: unknown) => text(value).replace(/T00:00:00(\.0+)?Z?$/, "");
  return {
    symbol: text(symbol) || one.backtestId,
    interval: text(interval),
    strategies: names.map((name) => [name, settings(strategyParams, name)].filter(Boolean).join(" ")).join(", ") + (names.length > 1 && text(combine) ? ` (${text(combine)})` : ""),
    period: [short(startDate), short(endDate)].filter(Boolean).join(" – "),
    details: strategyParams && typeof strategyParams === "object" ? JSON.stringify(strategyParams).slice(0, 300) : "",
  };
}
