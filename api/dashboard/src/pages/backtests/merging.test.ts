import { describe, expect, it } from "vitest";
import { adjoins, arrived, completed, described, failed, merged, missing, returnSoFar, started, type Backtest, type Status } from "./merging";

function one(id: number, status: Status = "running", params: Record<string, unknown> = {}): Backtest {
  const at = new Date(Date.UTC(2026, 0, 1, 0, id)).toISOString();
  return {
    backtestId: `bt_${id}`, status, progress: 0, priority: 0, params, epoch: 1, failures: 0, createdAt: at, updatedAt: at,
    startedAt: at, completedAt: null, resultId: null, datasetHash: null, error: null, warnings: [],
  };
}
const ids = (rows: Backtest[]) => rows.map((row) => row.backtestId);

describe("the list of backtests", () => {
  it("takes in a page newest first, each once", () => {
    const rows = merged([one(3), one(1)], [one(4), one(3, "completed"), one(2)]);
    expect(ids(rows)).toEqual(["bt_4", "bt_3", "bt_2", "bt_1"]);
    expect(rows[1]!.status).toBe("completed");
  });
  it("never takes an end back", () => {
    expect(merged([one(1, "completed")], [one(1, "running")])[0]!.status).toBe("completed");
    expect(started(one(1, "failed")).status).toBe("failed");
  });
  it("knows which are newer than all that is shown", () => {
    expect(ids(arrived([one(3), one(1)], [one(5), one(4), one(3), one(2)]))).toEqual(["bt_5", "bt_4"]);
    expect(arrived([], [one(1)])).toEqual([]);
  });
  it("finds what a page should have held, and nothing beyond its end", () => {
    const rows = [one(5), one(4), one(3), one(2)];
    expect(ids(missing(rows, [one(5), one(3)], false))).toEqual(["bt_4"]);
    expect(ids(missing(rows, [one(5), one(3)], true))).toEqual(["bt_4", "bt_2"]);
    expect(missing(rows, [], false)).toEqual([]);
  });
  it("sees where more came than a page holds, and rows would be missing between", () => {
    expect(adjoins([one(1)], { items: [one(9), one(8)], nextCursor: "x" })).toBe(false);
    expect(adjoins([one(8), one(1)], { items: [one(9), one(8)], nextCursor: "x" })).toBe(true);
    expect(adjoins([one(1)], { items: [one(9), one(8)], nextCursor: null })).toBe(true);
  });
  it("orders by time, however many digits an instant is written with", () => {
    const [early, late] = [{ ...one(1), createdAt: "2026-01-01T00:00:03Z" }, { ...one(2), createdAt: "2026-01-01T00:00:03.004Z" }];
    expect(ids(merged([early], [late]))).toEqual(["bt_2", "bt_1"]);
  });
  it("tells two of one strategy apart", () => {
    const told = described(one(1, "running", { strategies: ["sma"], strategyParams: { sma: { fast: 10, prompt: "a long text", strict: true } } }));
    expect(told.strategies).toBe("sma fast 10, strict true");
  });
  it("tells one that somebody stopped from one that came to its end", () => {
    const told = { backtestId: "bt_1", userId: "u", resultId: "res_1", summary: {} };
    expect(completed({ ...one(1), progress: 40 }, told)).toMatchObject({ status: "completed", progress: 100, resultId: "res_1" });
    expect(completed({ ...one(1), progress: 40 }, { ...told, stopped: true })).toMatchObject({ status: "stopped", progress: 40 });
  });
  it("says why one failed", () => {
    const told = { backtestId: "bt_1", userId: "u", status: "error" as const, error: "no data", code: "no_market_data", timestamp: "2026-01-01T00:00:00Z" };
    expect(failed(one(1), told)).toMatchObject({ status: "failed", error: { code: "no_market_data", message: "no data" } });
  });
  it("knows a return so far only where the capital is known", () => {
    const told = { backtestId: "bt_1", userId: "u", progress: 5, message: "", currentDate: "", currentPnl: 250 };
    expect(returnSoFar(one(1, "running", { initialCapital: 10_000 }), told)).toBe(2.5);
    expect(returnSoFar(one(1), told)).toBeNull();
    expect(returnSoFar(one(1, "running", { initialCapital: 10_000 }), undefined)).toBeNull();
  });
  it("describes also what was asked for in an unusual way", () => {
    const odd = described(one(1, "running", { strategies: ["sma", { all: [] }], combine: "any", startDate: "2024-01-01T00:00:00Z", endDate: "2024-06-01" }));
    expect(odd).toMatchObject({ symbol: "bt_1", strategies: "sma, rules (any)", period: "2024-01-01 – 2024-06-01" });
  });
});
