// Market data as the gateway lists it, and what the page computes of it.

/** One series. `end` is where its last bar ends. */
export interface Series {
  symbol: string;
  interval: string;
  version: number;
  source: string;
  bars: number;
  start: string;
  end: string;
  session: { zone: string; anchor: string };
  /** Of the exchange whose holidays and hours say which bars are missing. */
  calendar: string | null;
  gaps: { count: number; missingBars: number; largest: { start: string; end: string; missingBars: number }[] };
  datasetHash: string;
  importedAt: string;
}

/** What an import or a fetch came to, of one series. */
export interface ImportReport extends Omit<Series, "gaps" | "importedAt"> {
  added: number;
  known: number;
  kept: number;
  replaced: number;
  gaps: { count: number; missingBars: number };
  notes: string[];
}

export interface Gap {
  from: string;
  to: string;
  bars: number;
}

/** What is missing in a series: in order of time, where there are too many the largest. */
export interface Gaps {
  bars: number;
  start: string;
  end: string;
  expectedBars: number;
  gaps: Gap[];
  total: number;
}

export const INTERVALS = ["1m", "3m", "5m", "10m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d", "3d", "1w", "1M"];

export const keyOf = (one: { symbol: string; interval: string }): string => `${one.symbol} ${one.interval}`;

/** Milliseconds from the first bar of all series to the end of the last; a day where there is none. */
export function spanOf(all: { start: string; end: string }[]): [number, number] {
  if (!all.length) return [0, 86_400_000];
  return [Math.min(...all.map((one) => Date.parse(one.start))), Math.max(...all.map((one) => Date.parse(one.end)))];
}

/** Where something lies on a strip, in percent of its width: from, and how wide. Never outside of it. */
export function placeOn([first, last]: [number, number], fromMs: number, toMs: number): { left: number; width: number } {
  const whole = Math.max(last - first, 1);
  const left = Math.min(Math.max((fromMs - first) / whole, 0), 1);
  const right = Math.min(Math.max((toMs - first) / whole, left), 1);
  return { left: 100 * left, width: 100 * (right - left) };
}

/** Gaps that would be drawn within one part of a strip are drawn as one: thousands stay quick to draw. */
export function drawnGaps(span: [number, number], gaps: Gap[], parts = 1_000): { from: number; to: number; bars: number; gaps: number }[] {
  const step = Math.max((span[1] - span[0]) / parts, 1);
  const drawn: { from: number; to: number; bars: number; gaps: number }[] = [];
  for (const gap of gaps) {
    const [from, to] = [Date.parse(gap.from), Date.parse(gap.to)];
    const last = drawn.at(-1);
    if (last && from - last.to < step && last.to - last.from < 3 * step) {
      last.to = Math.max(to, last.to);
      last.bars += gap.bars;
      last.gaps += 1;
    } else drawn.push({ from, to, bars: gap.bars, gaps: 1 });
  }
  return drawn;
}

/** Percent of the bars that there should be; null where that is not known. */
export function completeness(bars: number, missing: number): number | null {
  return bars + missing > 0 ? (100 * bars) / (bars + missing) : null;
}
