import { beforeEach, afterEach, describe, expect, test, vi } from "vitest";

type Hear = (event: string, said: unknown) => void;

const server = { records: new Map<string, Record<string, unknown>>(), asked: [] as string[], under: 0, most: 0 };
const socket = {
  connected: true,
  hears: new Set<Hear>(),
  connects: new Set<() => void>(),
  sent: [] as [string, unknown][],
  on: (_: string, one: () => void) => socket.connects.add(one),
  off: (_: string, one: () => void) => socket.connects.delete(one),
  onAny: (one: Hear) => socket.hears.add(one),
  offAny: (one: Hear) => socket.hears.delete(one),
  emit: (event: string, body: unknown) => socket.sent.push([event, body]),
  timeout: () => ({ emitWithAck: async (event: string, body: unknown) => (socket.sent.push([event, body]), { ok: true, recovered: true }) }),
};

vi.mock("../../live/socket.svelte", () => ({ live: { socket } }));
vi.mock("../../http", async (original) => ({
  ...(await original<typeof import("../../http")>()),
  get: async (path: string, ask: { path: { backtest_id: string } }) => {
    const id = ask.path.backtest_id;
    server.asked.push(`${path.split("}").at(-1)} ${id}`);
    server.most = Math.max(server.most, (server.under += 1));
    await new Promise((done) => setTimeout(done, 10));
    server.under -= 1;
    if (path.endsWith("/result")) return { metrics: { totalReturn: 20 }, totalBars: 2 };
    if (path.endsWith("/equity")) return { points: [{ time: "2026-01-01T00:00:00Z", equity: 100 }, { time: "2026-01-02T00:00:00Z", equity: 120 }] };
    return { backtestId: id, params: { strategies: ["rsi"], initialCapital: 100 }, progress: 0, error: null, resultId: null, ...server.records.get(id) };
  },
}));

const { Comparison } = await import("./runs.svelte");
const settle = () => vi.advanceTimersByTimeAsync(2_000);
const hear: Hear = (event, said) => socket.hears.forEach((one) => one(event, said));
const state = (backtestId: string, seq: number, curve: [number, number][], more: object = {}) => ({
  backtestId, epoch: 1, seq, status: "running", currentCandleIndex: curve.length, totalCandles: 10, currentTime: new Date(curve.at(-1)?.[0] ?? 0).toISOString(),
  currentCapital: curve.at(-1)?.[1] ?? 100, progressPercent: 10, speed: 1, openTrades: [], recentSignals: [], recentTrades: [], firstBar: 0,
  metrics: { totalTrades: 1, winningTrades: 1, losingTrades: 0, winRate: 100, totalPnl: 1, equityCurve: curve }, ...more,
});
const subscriptions = () => socket.sent.filter(([event]) => event === "backtest:subscribe").map(([, body]) => body);

beforeEach(() => {
  vi.useFakeTimers();
  server.records.clear();
  Object.assign(server, { asked: [], under: 0, most: 0 });
  Object.assign(socket, { connected: true, sent: [] });
  socket.hears.clear();
  socket.connects.clear();
});
afterEach(() => vi.useRealTimers());

describe("runs that are compared", () => {
  test("that have ended are read as they are stored, a few at once, and need no socket", async () => {
    const ids = Array.from({ length: 30 }, (_, at) => `bt_${at}`);
    for (const id of ids) server.records.set(id, { status: "completed", resultId: "res" });
    const comparison = new Comparison();
    comparison.show(ids);
    await settle();
    expect(comparison.runs.every((one) => one.metrics?.["totalReturn"] === 20 && one.points()?.time.length === 2)).toBe(true);
    expect(server.asked.length).toBe(90);
    expect(server.most).toBeLessThanOrEqual(12);
    expect([socket.sent, socket.hears.size]).toEqual([[], 0]);
    comparison.show(ids.slice(1));
    await settle();
    expect([server.asked.length, comparison.runs.length, comparison.runs[0]?.slot]).toEqual([90, 29, 1]);
    comparison.close();
  });

  test("that run are watched from where they were heard, until they end", async () => {
    server.records.set("bt_1", { status: "running" });
    const comparison = new Comparison();
    comparison.show(["bt_1"]);
    await settle();
    expect(subscriptions()).toEqual([{ backtestId: "bt_1" }]);
    hear("backtest:state", state("bt_1", 5, [[1, 100], [2, 110]], { snapshot: true }));
    hear("backtest:state", state("bt_2", 9, [[1, 1]], { snapshot: true }));
    hear("backtest:state", state("bt_1", 6, [[3, 99]], { currentCandleIndex: 3 }));
    const [run] = comparison.runs;
    const drawn = comparison.drawn;
    await settle();
    expect(comparison.drawn).toBeGreaterThan(drawn);
    expect([...Array.from(run?.points()?.equity ?? [])]).toEqual([100, 110, 99]);
    expect(run?.soFar()).toMatchObject({ totalReturn: expect.closeTo(-1), maxDrawdown: expect.closeTo(-10), winRate: 100 });
    socket.connects.forEach((one) => one());
    await settle();
    expect(subscriptions().at(-1)).toEqual({ backtestId: "bt_1", after: { epoch: 1, seq: 6 } });
    server.records.set("bt_1", { status: "completed", resultId: "res" });
    hear("backtest:complete", { backtestId: "bt_1", epoch: 1, seq: 7, resultId: "res", summary: {}, status: "success" });
    await settle();
    expect([run?.status, run?.metrics, run?.goesOn, run?.picture]).toEqual(["completed", { totalReturn: 20 }, false, null]);
    comparison.close();
    expect([socket.hears.size, socket.connects.size]).toEqual([0, 0]);
  });

  test("that are taken out, or whose page is left, are watched no more", async () => {
    for (const id of ["bt_1", "bt_2"]) server.records.set(id, { status: "running" });
    const comparison = new Comparison();
    comparison.show(["bt_1", "bt_2"]);
    await settle();
    comparison.show(["bt_2"]);
    comparison.close();
    expect(socket.sent.filter(([event]) => event === "backtest:unsubscribe").map(([, body]) => body)).toEqual([{ backtestId: "bt_1" }, { backtestId: "bt_2" }]);
  });

  test("that failed say why", async () => {
    server.records.set("bt_1", { status: "failed", error: { error: "the strategy sees the future" } });
    const comparison = new Comparison();
    comparison.show(["bt_1"]);
    await settle();
    expect(comparison.runs[0]?.problem).toBe("It has no result: the strategy sees the future");
    comparison.close();
  });
});
