// Equity curves of several runs laid over each other: each begins at 100, at its own times or all at one beginning.

export interface Points {
  /** Milliseconds since 1970, rising, and equity at each; NaN where there is none. */
  time: ArrayLike<number>;
  equity: ArrayLike<number>;
  /** What 100 is: the money that the run began with. */
  initial: number;
  /** Bars from the first point to the last; null where unknown, then each point is one. */
  bars: number | null;
}

export type By = "time" | "bars";

/** Of each run, a value for each `x`: percent of its beginning, and percent below its highest so far (0 or less). */
export interface Overlay {
  x: number[];
  equity: (number | null)[][];
  drawdown: (number | null)[][];
}

/** A screen has no more columns to draw in. */
export const COLUMNS_MAX = 1_500;

export function overlay(runs: Points[], by: By, most = COLUMNS_MAX): Overlay {
  const places = runs.map((run) => placesOf(run, by));
  const x = gridOf(places, most);
  const columns = runs.map((run, index) => columnsOf(run, places[index]!, x));
  return { x, equity: columns.map((one) => one.equity), drawdown: columns.map((one) => one.drawdown) };
}

/** Where each point is drawn. A curve that was thinned does not say which bar a point is of: it is told from its time. */
function placesOf(run: Points, by: By): Float64Array {
  const places = Float64Array.from(run.time);
  if (by === "time") return places;
  const n = places.length;
  const [first, last] = [places[0] ?? 0, places[n - 1] ?? 0];
  const bars = run.bars ?? n;
  for (let at = 0; at < n; at += 1) places[at] = bars === n || last === first ? at : Math.round(((places[at]! - first) / (last - first)) * (bars - 1));
  return places;
}

/** All places, or where they are too many as many at equal distances. */
function gridOf(places: Float64Array[], most: number): number[] {
  const few = places.reduce((sum, one) => sum + one.length, 0) <= 40 * most;
  const all = few ? [...new Set(places.flatMap((one) => Array.from(one)))].sort((one, other) => one - other) : [];
  if (few && all.length <= most) return all;
  let [from, to] = [Infinity, -Infinity];
  for (const one of places) {
    from = Math.min(from, one[0] ?? Infinity);
    to = Math.max(to, one.at(-1) ?? -Infinity);
  }
  return Array.from({ length: most }, (_, at) => from + ((to - from) * at) / (most - 1));
}

/** At each place the last equity until there, and the deepest drawdown since the place before: no fall is left out. */
function columnsOf(run: Points, places: Float64Array, x: number[]): { equity: (number | null)[]; drawdown: (number | null)[] } {
  const n = places.length;
  const equity: (number | null)[] = new Array<number | null>(x.length).fill(null);
  const drawdown = [...equity];
  let [at, peak, now, below] = [0, run.initial, NaN, NaN];
  x.forEach((place, column) => {
    let deepest = Infinity;
    for (; at < n && places[at]! <= place; at += 1) {
      const value = run.equity[at]!;
      if (!Number.isFinite(value)) continue;
      now = value;
      peak = Math.max(peak, value);
      below = peak > 0 ? 100 * (value / peak - 1) : NaN;
      deepest = Math.min(deepest, below);
    }
    const ended = at === n && deepest === Infinity;
    if (ended || Number.isNaN(now)) return;
    equity[column] = (100 * now) / run.initial;
    drawdown[column] = deepest === Infinity ? below : deepest;
  });
  return { equity, drawdown };
}

/** Percent, 0 or less; null without a point. */
export function deepestDrawdown(run: Points): number | null {
  let [peak, deepest] = [run.initial, 0];
  for (let at = 0; at < run.time.length; at += 1) {
    const value = run.equity[at]!;
    if (!Number.isFinite(value)) continue;
    peak = Math.max(peak, value);
    deepest = Math.min(deepest, 100 * (value / peak - 1));
  }
  return run.time.length ? deepest : null;
}
