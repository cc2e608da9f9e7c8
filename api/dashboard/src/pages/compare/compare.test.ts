import { describe, expect, test } from "vitest";
import { bestOf, figureRows } from "./best";
import { differences } from "./differences";
import { labelOf } from "./labels";
import { deepestDrawdown, overlay, type Points } from "./series";

const run = (time: number[], equity: number[], bars: number | null = null): Points => ({ time, equity, initial: 100, bars });

describe("curves over each other", () => {
  test("at their own times, with nothing before and after", () => {
    const drawn = overlay([run([1, 2, 3], [100, 120, 90]), run([2, 4], [50, 200])], "time");
    expect(drawn.x).toEqual([1, 2, 3, 4]);
    expect(drawn.equity).toEqual([
      [100, 120, 90, null],
      [null, 50, 50, 200],
    ]);
    expect(drawn.drawdown[0]).toEqual([0, 0, -25, null]);
    expect(drawn.drawdown[1]).toEqual([null, -50, -50, 0]);
  });

  test("from one beginning, by bars; of a thinned curve by its times", () => {
    const drawn = overlay([run([1_000, 2_000, 9_000], [100, 110, 120]), run([0, 50, 100], [100, 90, 130], 101)], "bars");
    expect(drawn.x).toEqual([0, 1, 2, 50, 100]);
    expect(drawn.equity[0]).toEqual([100, 110, 120, null, null]);
    expect(drawn.equity[1]).toEqual([100, 100, 100, 90, 130]);
  });

  test("thinned to the columns of a screen, each with its deepest fall, to the last value", () => {
    const n = 100_000;
    const equity = Array.from({ length: n }, (_, at) => (at === 54_321 ? 10 : 100 + at / n));
    const drawn = overlay([run(Array.from({ length: n }, (_, at) => at), equity)], "time", 500);
    expect(drawn.x.length).toBe(500);
    expect(Math.min(...drawn.drawdown[0]!.map((one) => one ?? 0))).toBeCloseTo(-90.05, 1);
    expect(drawn.equity[0]!.at(-1)).toBe(equity.at(-1));
    expect(drawn.equity[0]!.every((one) => one !== null)).toBe(true);
  });

  test("gaps keep the value before, a run without points draws nothing, nothing at all is nothing", () => {
    expect(overlay([run([1, 2, 3], [100, NaN, 90]), run([], [])], "time").equity).toEqual([
      [100, 100, 90],
      [null, null, null],
    ]);
    expect(overlay([], "bars")).toEqual({ x: [], equity: [], drawdown: [] });
    expect([deepestDrawdown(run([], [])), deepestDrawdown(run([1, 2], [100, NaN])), deepestDrawdown(run([1, 2], [120, 60]))]).toEqual([null, 0, -50]);
  });

  test("thirty runs of a thousand points take a moment", () => {
    const runs = Array.from({ length: 30 }, (_, one) => run(Array.from({ length: 1_000 }, (_, at) => at * 1_000 + one), Array.from({ length: 1_000 }, (_, at) => 100 + Math.sin(at))));
    const begun = performance.now();
    const drawn = overlay(runs, "time");
    expect(drawn.equity.length).toBe(30);
    expect(performance.now() - begun).toBeLessThan(500);
  });
});

describe("the best of a figure", () => {
  test.each([
    ["totalReturn", [1, 5, -2], [1]],
    ["maxDrawdown", [-20, -5, -60], [1]],
    ["volatility", [30, 20, 25], [1]],
    ["totalFees", [3, 0, 7], [1]],
    ["sharpeRatio", [1, 2, 2], [1, 2]],
    ["sharpeRatio", [null, 2, 1], [1]],
    ["sharpeRatio", [null, 2, undefined], []],
    ["sharpeRatio", [2, 2, 2], []],
    ["finalEquity", [0.1 + 0.2, 0.3, 0.1], [0, 1]],
    ["totalTrades", [1, 2, 3], []],
    ["somethingNew", [1, 2, 3], []],
  ])("%s of %j", (name, values, best) => {
    expect([...bestOf(name, values)]).toEqual(best);
  });

  test("figures stand in the order of their table, those of newer gateways after them", () => {
    const rows = figureRows([{ winRate: 1, totalReturn: 2, newer: 3 }, null, { cagr: null }]);
    expect(rows.map((one) => one.names)).toEqual([["totalReturn", "cagr"], ["winRate", "newer"]]);
  });
});

test("requests differ at every depth; what is equal is apart", () => {
  const found = differences([
    { symbol: "A", strategyParams: { rsi: { period: 14, low: 30 } }, commission: { rate: 0 }, strategies: ["rsi"], stopLoss: null, weights: {} },
    { symbol: "A", strategyParams: { rsi: { period: 20, low: 30 } }, commission: { rate: 0 }, strategies: ["rsi", "macd"], stopLoss: { percent: 2 }, weights: {} },
  ]);
  expect(found.differing).toEqual([
    { path: "strategyParams.rsi.period", values: ["14", "20"] },
    { path: "strategies", values: ["rsi", "rsi, macd"] },
    { path: "stopLoss", values: ["none", undefined] },
    { path: "stopLoss.percent", values: [undefined, "2"] },
  ]);
  expect(found.equal.map((one) => one.path)).toEqual(["symbol", "strategyParams.rsi.low", "commission.rate"]);
});

test.each([
  [{ strategies: ["rsi", "macd"], symbol: "A", interval: "1d", strategyParams: {} }, "rsi + macd A 1d"],
  [{ strategies: ["sma"], symbol: "A", interval: "1d", strategyParams: { sma: { fast: 5, slow: 30 } } }, "sma (fast 5, slow 30) A 1d"],
  [{ agentId: "ag_1", symbol: "A", interval: "1d" }, "agent A 1d"],
  [{ strategies: ["rule"], symbol: "A", interval: "1d", strategyParams: { rule: { long: "x".repeat(60), short: "y" } } }, `rule (long ${"x".repeat(43)} …) A 1d`],
])("a backtest is called by who trades what, and how: %j", (params, label) => {
  expect(labelOf({ params })).toBe(label);
});
