import { expect, it } from "vitest";
import { around, AS_CLOSED, byYear, candlesOf, chosen, fromFile, intervalMs, levelsOf, opening, reason, ruinedAt, zoomOf, type Decision, type ReportData, type Trade, strategyOf } from "./data";

const trade = (index: number, pnl: number | null, more: Partial<Trade> = {}): Trade => ({
  index, pnl, pnlPercent: pnl, entryBar: index * 10, exitBar: index * 10 + 5, entryTime: "2024-01-01T00:00:00Z", exitTime: `2024-01-0${index + 1}T00:00:00Z`,
  direction: "long", quantity: 1, entryPrice: 1, exitPrice: 1, fees: 0, entryReason: "signal", exitReason: "signal", strategy: "a", ...more,
});
const TRADES = [trade(0, 5), trade(1, -2, { direction: "short" }), trade(2, null), trade(3, 5, { exitReason: "stop_loss" }), trade(4, 0)];
const order = (ask: Partial<Parameters<typeof chosen>[1]>) => chosen(TRADES, { ...AS_CLOSED, ...ask }).map((one) => one.index);

it("sorts as a gateway does: undefined last either way, equal ones as they closed", () => {
  expect(order({})).toEqual([0, 1, 2, 3, 4]);
  expect(order({ order: "desc" })).toEqual([4, 3, 2, 1, 0]);
  expect(order({ sort: "pnl" })).toEqual([1, 4, 0, 3, 2]);
  expect(order({ sort: "pnl", order: "desc" })).toEqual([0, 3, 4, 1, 2]);
  expect(order({ sort: "exitTime", order: "desc" })).toEqual([4, 3, 2, 1, 0]);
});

it("chooses by side, outcome and exit: a pnl of zero is neither won nor lost", () => {
  expect(order({ side: "short" })).toEqual([1]);
  expect(order({ outcome: "win" })).toEqual([0, 3]);
  expect(order({ outcome: "loss" })).toEqual([1]);
  expect(order({ exitReason: "stop_loss", side: "long" })).toEqual([3]);
});

it("pages over what a file holds", () => {
  const source = fromFile({ trades: TRADES } as ReportData);
  const page = source.page({ ...AS_CLOSED, outcome: "win" }, 1, 100, new AbortController().signal);
  expect(page).toMatchObject({ total: 2, items: [{ index: 3 }] });
  expect(source.decisions).toBeUndefined();
});

it("finds the decision that opened a trade", () => {
  const said = (bar: number, action: string, strategy = "a") => ({ bar, action, strategy }) as Decision;
  const all = [said(8, "LONG"), said(9, "LONG"), said(9, "SHORT", "b"), said(10, "HOLD"), said(11, "LONG")];
  expect(opening(all, trade(1, 1))?.bar).toBe(9);
  expect(opening([], trade(1, 1))).toBeUndefined();
});

it("reads what is zoomed of the URL, or nothing", () => {
  expect(zoomOf("1000-2000")).toEqual([1000, 2000]);
  expect(zoomOf("-2000--1000")).toEqual([-2000, -1000]);
  for (const text of [undefined, "", "2000-1000", "a-b", "1-1"]) expect(zoomOf(text)).toBeNull();
});

it("lays months into years, and leaves out what there was not", () => {
  const rows = byYear({ monthly: [{ year: 2024, month: 12, return: 0.5 }, { year: 2025, month: 1, return: null }], yearly: [{ year: 2024, return: 0.5 }, { year: 2025, return: null }] });
  expect(rows.map((row) => [row.name, row.total, row.values[11], row.values[0]])).toEqual([["2024", 0.5, 0.5, null], ["2025", null, null, null]]);
});

it("says when nothing was left, and why trades closed", () => {
  const curve = { drawdown: [], buyAndHold: null, exposure: null };
  expect(ruinedAt({ ...curve, time: [1, 2, 3], equity: [5, 0, 0] })).toBe(2);
  expect(ruinedAt({ ...curve, time: [1, 2], equity: [5, 4] })).toBeNull();
  expect(reason("stop_loss")).toBe("Stop loss");
  expect(reason("new_reason")).toBe("new reason");
});

it("knows the levels of a trade where they were fixed", () => {
  const short = trade(0, 1, { direction: "short", entryPrice: 100 });
  expect(levelsOf(short, null, {})).toEqual([{ kind: "entry", price: 100 }]);
  const config = { stopLoss: { percent: 2 }, takeProfit: { percent: 5 } };
  expect(levelsOf(short, null, config).map((one) => one.price)).toEqual([100, 102, 95]);
  expect(levelsOf(short, null, { ...config, useStopOrders: false }).map((one) => one.kind)).toEqual(["entry", "target"]);
  const decision = { decision: { stopPrice: 110, targetPrice: null } } as Decision;
  expect(levelsOf(short, decision, {})).toContainEqual({ kind: "stop", price: 110 });
});

it("shows some bars before a trade and after it", () => {
  const [from, to] = around(trade(1, 1), 86_400_000);
  expect(new Date(from).toISOString().slice(0, 10)).toBe("2023-12-17");
  expect(new Date(to).toISOString().slice(0, 10)).toBe("2024-01-18");
  expect([intervalMs("15m"), intervalMs("1d")]).toEqual([900_000, 86_400_000]);
  const time = ["2023-12-16T00:00:00Z", "2024-01-01T00:00:00Z", "2024-01-18T00:00:00Z"];
  const columns = { bucketMs: 1, time, open: [1, 2, 3], high: [1, 2, 3], low: [1, 2, 3], close: [1, 2, 3], volume: [1, 2, 3], indicators: { a: [null, 5, 6] } };
  expect(candlesOf(columns, [from, to])).toMatchObject([{ open: 2, indicators: { a: 5 } }]);
  expect(candlesOf(columns)).toHaveLength(3);
});

it("says of a trade that no strategy alone wanted that it was wanted together", () => {
  expect([strategyOf(trade(0, 1)), strategyOf(trade(0, 1, { strategy: null }))]).toEqual(["a", "together"]);
});
