import { expect, it } from "vitest";
import { barsFor, CANDLES_MAX, candlesOf, IN_VIEW, intervalMs, revealed, wanted, type Loaded, type Whole } from "./history.svelte";

const HOUR = 3_600_000;
const whole: Whole = { fromMs: 0, toMs: 500_000 * HOUR, bars: 500_000, intervalMs: HOUR };
const loaded = (from: number, to: number, step: number): Loaded => ({
  fromMs: from * HOUR, toMs: to * HOUR, stepMs: step * HOUR, bars: step,
  candles: Array.from({ length: Math.ceil((to - from) / step) }, (_, at) => ({ time: (from + at * step) * HOUR, open: 1, high: 1, low: 1, close: 1, volume: 1 })),
});

it("makes candles as long as a view needs, and round", () => {
  expect([1, 400, 600, 1_100, 4_000, 500_000].map((bars) => barsFor(bars, IN_VIEW))).toEqual([1, 1, 2, 3, 8, 1_000]);
  expect(["1m", "15m", "1h", "1d", "1w", "1M"].map(intervalMs)).toEqual([60_000, 900_000, HOUR, 24 * HOUR, 168 * HOUR, 720 * HOUR]);
});

it("asks for nothing that it has, and for finer bars where one looks closer", () => {
  const view = { fromMs: 1_000 * HOUR, toMs: 1_300 * HOUR };
  const ask = wanted(view, whole, loaded(0, 500_000, 1_000))!;
  expect(ask.stepMs).toBe(HOUR);
  expect(ask.fromMs).toBeLessThanOrEqual(700 * HOUR);
  expect(ask.toMs).toBeGreaterThanOrEqual(1_600 * HOUR);
  expect(wanted(view, whole, loaded(ask.fromMs / HOUR, ask.toMs / HOUR, 1))).toBe(null);
  expect(wanted({ fromMs: 1_050 * HOUR, toMs: 1_350 * HOUR }, whole, loaded(ask.fromMs / HOUR, ask.toMs / HOUR, 1))).toBe(null);
});

it("never asks for more than a chart may have, wherever one looks", () => {
  for (const wide of [10, 100, 499, 501, 3_000, 40_000, 499_999, 2_000_000])
    for (const from of [-5_000, 0, 250_000, 499_990]) {
      const ask = wanted({ fromMs: from * HOUR, toMs: (from + wide) * HOUR }, whole, null);
      if (!ask) continue;
      expect((ask.toMs - ask.fromMs) / ask.stepMs).toBeLessThan(CANDLES_MAX);
      expect([ask.fromMs >= 0, ask.toMs <= whole.toMs]).toEqual([true, true]);
      expect(wanted({ fromMs: from * HOUR, toMs: (from + wide) * HOUR }, whole, loaded(ask.fromMs / HOUR, ask.toMs / HOUR, ask.stepMs / HOUR))).toBe(null);
    }
});

it("counts the bars that there are, not the days of a market that closes", () => {
  const days: Whole = { fromMs: 0, toMs: 700 * 24 * HOUR, bars: 480, intervalMs: 24 * HOUR };
  expect(wanted(days, days, null)).toMatchObject({ stepMs: 24 * HOUR, maxPoints: 586 });
});

it("shows a candle once its last bar is processed, and the last one at the end", () => {
  const short: Whole = { fromMs: 0, toMs: 25 * HOUR, bars: 25, intervalMs: HOUR };
  const bars = loaded(0, 25, 10);
  expect([null, 0, 8, 9, 18, 19, 23, 24].map((bar) => revealed(bars, short, bar === null ? null : bar * HOUR))).toEqual([0, 0, 0, 1, 1, 2, 2, 3]);
});

it("reads columns, and begins where the range begins", () => {
  const columns = { symbol: "A", interval: "1h", start: "1970-01-01T05:00:00Z", end: "1970-01-01T20:00:00Z", bars: 15, datasetHash: "", resampled: true, resampledFrom: null, bucketMs: 10 * HOUR, time: ["1970-01-01T00:00:00Z", "1970-01-01T10:00:00Z"], open: [1, 2], high: [1, 2], low: [1, 2], close: [1, 2], volume: [1, 2], indicators: { "sma 2": [null, 3] } } as const;
  const [first, second] = candlesOf(columns as never);
  expect([first!.time, second!.time, first!.indicators, second!.indicators]).toEqual([5 * HOUR, 10 * HOUR, { "sma 2": null }, { "sma 2": 3 }]);
});
