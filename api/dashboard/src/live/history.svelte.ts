// The bars behind a chart, fetched as far as it looks: as many as it can show, finer where it looks closer.

import { Problem, send, words } from "../http";
import type { Candle } from "../charts/price";
import type { components } from "../wire/openapi";

type Columns = components["schemas"]["CandleColumns"] & {
  indicators?: Record<string, (number | null)[]>;
  warnings?: { code: string; message: string }[];
};
export interface Span {
  fromMs: number;
  toMs: number;
}
export interface Loaded extends Span {
  candles: Candle[];
  /** How long a candle is. */
  stepMs: number;
  /** How many bars of the interval are one candle. */
  bars: number;
}
export interface Whole extends Span {
  bars: number;
  intervalMs: number;
}

/** Never more in a chart at once. */
export const CANDLES_MAX = 4_000;
/** So many are in view where somebody looks at many, unless the chart is told to be wider or narrower. */
export const IN_VIEW = 500;
const KEPT_MAX = 12;
const DEBOUNCE_MS = 120;
const UNITS: Record<string, number> = { m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000, M: 2_592_000_000 };

export function intervalMs(interval: string): number {
  return Number.parseInt(interval, 10) * (UNITS[interval.slice(-1)] ?? UNITS["m"]!);
}

/** How many bars a candle should be where so many are in view: one, or a round number. */
export function barsFor(bars: number, inView: number): number {
  const each = bars / inView;
  if (each <= 1) return 1;
  const ten = 10 ** Math.floor(Math.log10(each));
  return ten * ((ten === 1 ? [1, 2, 3, 4, 5, 6, 8] : [1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8]).find((one) => one * ten >= each) ?? 10);
}

/** What to fetch for a view; null: what is there will do. A whole view on both sides is fetched along. */
export function wanted(view: Span, whole: Whole, loaded: Loaded | null, inView = IN_VIEW): (Span & { stepMs: number; maxPoints: number }) | null {
  const wide = Math.max(view.toMs - view.fromMs, 20 * whole.intervalMs);
  // Of a market that closes there are fewer bars than hours.
  const barMs = (whole.toMs - whole.fromMs) / Math.max(1, whole.bars);
  const each = barsFor(Math.min(wide / barMs, whole.bars), inView);
  const stepMs = each * whole.intervalMs;
  const from = Math.max(view.fromMs, whole.fromMs);
  const to = Math.min(view.toMs, whole.toMs);
  const there = loaded && loaded.fromMs <= from + stepMs && loaded.toMs >= to - stepMs;
  // Candles that are a little too long or short will do: a view that moves back and forth must not flicker.
  if (there && loaded.stepMs <= 1.5 * stepMs && loaded.stepMs >= stepMs / 2.6) return null;
  const grain = Math.max(stepMs, wide / 2);
  const fromMs = Math.max(whole.fromMs, Math.floor((from - wide) / grain) * grain);
  const toMs = Math.min(whole.toMs, Math.ceil((to + wide) / grain) * grain);
  if (fromMs >= toMs) return null;
  // Where each bar is a candle none may be left out, however many there are just here.
  const bars = ((toMs - fromMs) / barMs) * (each === 1 ? 1.2 : 1);
  return { fromMs, toMs, stepMs, maxPoints: Math.min(CANDLES_MAX, Math.ceil(bars / each) + 10) };
}

/** The first candle that is not yet whole: what a run at that bar does not know is not shown. */
export function revealed(loaded: Loaded, whole: Whole, msNow: number | null): number {
  if (msNow === null) return 0;
  const until = msNow + whole.intervalMs;
  let [low, high] = [0, loaded.candles.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    const end = Math.min(loaded.candles[middle + 1]?.time ?? Infinity, loaded.candles[middle]!.time + loaded.stepMs, whole.toMs);
    if (end <= until) low = middle + 1;
    else high = middle;
  }
  return low;
}

export function candlesOf(columns: Columns): Candle[] {
  const names = Object.entries(columns.indicators ?? {});
  const first = Date.parse(columns.start);
  return columns.time.map((time, row) => ({
    // The first may begin before the range: only what lies in it is in it.
    time: Math.max(Date.parse(time), first),
    open: columns.open[row]!,
    high: columns.high[row]!,
    low: columns.low[row]!,
    close: columns.close[row]!,
    volume: columns.volume[row]!,
    ...(names.length ? { indicators: Object.fromEntries(names.map(([name, values]) => [name, values[row] ?? null])) } : {}),
  }));
}

export interface Series {
  symbol: string;
  interval: string;
  startDate: string;
  endDate: string;
}

export class History {
  whole = $state.raw<Whole | null>(null);
  loaded = $state.raw<Loaded | null>(null);
  /** Why bars or indicators are missing. */
  notice = $state("");
  /** Whether indicators come with the bars. */
  indicators = $state(true);
  loading = $state(false);
  /** How many candles there is room for. */
  inView = IN_VIEW;
  #kept = new Map<string, Loaded>();
  #asked: AbortController | null = null;
  #askedFor = "";
  #timer: ReturnType<typeof setTimeout> | undefined;
  #ofRun = true;
  #closed = false;

  constructor(
    readonly id: string,
    /** What it reads, once that is known: asked only where its own bars cannot be had. */
    readonly series: Promise<Series>,
  ) {}

  /** All of it, as coarse as it has to be. */
  async begin(): Promise<void> {
    try {
      const columns = await this.#fetch({ maxPoints: Math.min(CANDLES_MAX, 2 * this.inView) });
      this.whole = { fromMs: Date.parse(columns.start), toMs: Date.parse(columns.end), bars: columns.bars, intervalMs: intervalMs(columns.interval) };
      this.#take(columns, { fromMs: this.whole.fromMs, toMs: this.whole.toMs }, "whole");
    } catch (error) {
      if (!this.#closed) this.notice = `The bars could not be read: ${words(error)} What the run tells is drawn all the same.`;
    }
  }

  /** The chart looks there: fetched once it stands still, at once where `now`. */
  look(view: Span, now = false): void {
    clearTimeout(this.#timer);
    if (now) void this.#get(view);
    else this.#timer = setTimeout(() => void this.#get(view), DEBOUNCE_MS);
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#asked?.abort();
  }

  async #get(view: Span): Promise<void> {
    const whole = this.whole;
    const ask = whole && wanted(view, whole, this.loaded, this.inView);
    if (!whole || !ask) return;
    const key = `${ask.fromMs} ${ask.toMs} ${ask.stepMs}`;
    const kept = this.#kept.get(key);
    if (kept) {
      this.#asked?.abort();
      this.loaded = kept;
      return;
    }
    if (key === this.#askedFor) return;
    this.#asked?.abort();
    const asked = (this.#asked = new AbortController());
    this.#askedFor = key;
    this.loading = true;
    try {
      const columns = await this.#fetch({ from: new Date(ask.fromMs).toISOString(), to: new Date(ask.toMs).toISOString(), maxPoints: ask.maxPoints }, asked.signal);
      if (!asked.signal.aborted) this.#take(columns, ask, key);
    } catch (error) {
      if (!asked.signal.aborted) this.notice = `Finer bars could not be read: ${words(error)}`;
    } finally {
      if (this.#asked === asked) {
        this.loading = false;
        this.#askedFor = "";
      }
    }
  }

  #take(columns: Columns, span: Span, key: string): void {
    const interval = intervalMs(columns.interval);
    const stepMs = Math.max(columns.bucketMs, interval);
    const loaded = { candles: candlesOf(columns), stepMs, bars: Math.round(stepMs / interval), fromMs: span.fromMs, toMs: span.toMs };
    this.#kept.set(key, loaded);
    for (const old of this.#kept.keys()) if (this.#kept.size > KEPT_MAX && old !== "whole") this.#kept.delete(old);
    this.indicators = columns.indicators !== undefined;
    this.notice = columns.warnings?.map((one) => one.message).join(" ") ?? "";
    this.loaded = loaded;
  }

  /** Of the backtest's own bars, with its indicators; of the market data as they are now where those cannot be had. */
  async #fetch(query: Record<string, string | number>, signal?: AbortSignal): Promise<Columns> {
    if (this.#ofRun)
      try {
        const answer = await send("GET", "/api/algo/backtest/{backtest_id}/candles", { path: { backtest_id: this.id }, query, ...(signal ? { signal } : {}) });
        return (await answer.json()) as Columns;
      } catch (error) {
        if (!(error instanceof Problem) || ![404, 409].includes(error.status)) throw error;
        this.#ofRun = false;
      }
    const { symbol, interval, startDate, endDate } = await this.series;
    const asked = { from: startDate, to: endDate, ...query };
    const answer = await send("GET", "/api/algo/data/{symbol}/{interval}/candles", { path: { symbol, interval }, query: asked, ...(signal ? { signal } : {}) });
    return (await answer.json()) as Columns;
  }
}
