import { describe, expect, it } from "vitest";
import { Curve } from "./curve";
import { Picture, TRADES_MAX, type Trade } from "./picture";

/** The same numbers on each machine. */
function dice(seed: number): (below: number) => number {
  let state = seed * 2_654_435_761;
  return (below) => {
    state = (Math.imul(state ^ (state >>> 15), 2_246_822_519) + 0x9e3779b9) >>> 0;
    return state % below;
  };
}

const HOUR = 3_600_000;
const iso = (ms: number) => new Date(ms).toISOString();
type Said = Record<string, unknown>;
type News = [string, Said];

/** A run as a worker tells it: equity of a bar and the trades that close there follow from the bar alone. */
class Run {
  bar = 0;
  seq = 0;
  epoch = 1;
  log: News[] = [];
  constructor(readonly total = 400) {}

  equity = (bar: number) => 10_000 + 50 * Math.sin(bar / 7) + bar;
  closesAt = (bar: number) => (bar % 5 === 4 ? [this.trade(bar)] : []);
  trade(bar: number): Said {
    return { direction: "long", quantity: 1, entryBar: bar - 3, exitBar: bar, entryTime: iso((bar - 3) * HOUR), exitTime: iso(bar * HOUR), entryPrice: 1, exitPrice: 2, entryReason: "s", exitReason: "s", fees: 0, pnl: bar, pnlPercent: 1, strategy: "sma" };
  }
  trades(to: number): Said[] {
    return Array.from({ length: to }, (_, bar) => this.closesAt(bar)).flat();
  }
  points(from: number, to: number): [number, number][] {
    return Array.from({ length: Math.max(0, to - from) }, (_, index) => [(from + index) * HOUR, this.equity(from + index)]);
  }
  say(event: string, data: Said): News {
    this.seq += 1;
    const news: News = [event, { backtestId: "bt_1", userId: "u", ...data, epoch: this.epoch, seq: this.seq }];
    this.log.push(news);
    return news;
  }
  state(points: [number, number][], more: Said = {}): News {
    const closed = this.trades(this.bar);
    return this.say("backtest:state", {
      status: "running", currentTime: iso(Math.max(0, this.bar - 1) * HOUR), currentCandleIndex: this.bar, totalCandles: this.total, progressPercent: 0, currentCapital: 1, peakCapital: 1, drawdown: 0, speed: 10, firstBar: 0, openTrades: [], recentSignals: [], recentTrades: closed.slice(-20),
      metrics: { totalTrades: closed.length, winningTrades: 0, losingTrades: 0, winRate: 0, totalPnl: 0, equityCurve: points }, ...more,
    });
  }
  snapshot(): News {
    const closed = this.trades(this.bar);
    const columns = Object.fromEntries(Object.keys(closed[0] ?? {}).map((name) => [name, closed.map((one) => one[name])]));
    return this.state(this.points(0, this.bar), { snapshot: true, trades: columns, tradesSkipped: 0 });
  }
  advance(bars: number): News[] {
    const from = this.bar;
    this.bar = Math.min(this.total, from + bars);
    const news: News[] = [];
    for (let bar = from; bar < this.bar; bar += 1) news.push(this.say("backtest:candle", { bar, time: iso(bar * HOUR), open: 1, high: 1, low: 1, close: bar, volume: 1, indicators: {} }));
    const closed = this.trades(this.bar).filter((one) => (one["exitBar"] as number) >= from);
    const columns = Object.fromEntries(Object.keys(closed[0] ?? {}).map((name) => [name, closed.map((one) => one[name])]));
    if (closed.length) news.push(this.say("backtest:trade", { what: "closed", trade: closed.at(-1)!, ...(closed.length > 1 ? { trades: columns } : {}) }));
    news.push(this.say("backtest:signal", { bar: this.bar - 1, time: iso(this.bar * HOUR), signal: 1 }));
    news.push(this.state(this.points(from, this.bar)));
    return news;
  }
  back(bar: number): News[] {
    this.bar = bar;
    return [this.state([])];
  }
}

/** As the documents say it, in the plainest words. */
class Reference {
  curve = new Map<number, number>();
  trades: Said[] = [];
  bar = 0;
  hear([event, said]: News): void {
    if (event === "backtest:trade") this.trades.push(...((said["trades"] as Record<string, unknown[]> | undefined)?.["exitBar"]?.map((bar) => ({ exitBar: bar })) ?? [said["trade"] as Said]));
    if (event !== "backtest:state") return;
    const bar = said["currentCandleIndex"] as number;
    if (said["snapshot"]) {
      this.curve.clear();
      this.trades = ((said["trades"] as Record<string, unknown[]>)["exitBar"] ?? []).map((exitBar) => ({ exitBar }));
    } else if (bar < this.bar) {
      for (const time of [...this.curve.keys()]) if (time >= bar * HOUR) this.curve.delete(time);
      this.trades = this.trades.filter((one) => (one["exitBar"] as number) < bar);
    }
    for (const [time, equity] of (said["metrics"] as { equityCurve: [number, number][] }).equityCurve) this.curve.set(time, equity);
    this.bar = bar;
  }
}

function same(picture: Picture, run: Run, reference: Reference): void {
  const curve = [...reference.curve].sort(([one], [other]) => one - other);
  expect([...picture.curve.times].map((time, row) => [time, picture.curve.values[row]])).toEqual(curve);
  expect(curve).toEqual(run.points(0, run.bar));
  expect(picture.closed.map((one) => one.exitBar)).toEqual(reference.trades.map((one) => one["exitBar"]));
  expect(picture.closed.map((one) => one.exitBar)).toEqual(run.trades(run.bar).map((one) => one["exitBar"]));
  expect(picture.bar).toBe(run.bar);
  expect(picture.figures.totalTrades).toBe(picture.closed.length + picture.skipped);
  const bars = picture.candles.map((one) => one.bar);
  expect(bars).toEqual([...new Set(bars)].sort((one, other) => one - other));
  expect(bars.every((bar) => bar < run.bar)).toBe(true);
  expect(picture.signals.every((one) => one.bar < run.bar)).toBe(true);
}

describe("a run's picture", () => {
  it.each([1, 2, 3, 4, 5, 6, 7, 8])("is what a slow reference draws, wherever one goes (%i)", (seed) => {
    const roll = dice(seed);
    const [run, picture, reference] = [new Run(), new Picture(), new Reference()];
    const both = (news: News[]) => {
      for (const one of news) {
        picture.hear(...one);
        reference.hear(one);
      }
    };
    picture.joined();
    both([run.snapshot()]);
    for (let turn = 0; turn < 60; turn += 1) {
      const what = roll(6);
      if (what < 3) both(run.advance(1 + roll(40)));
      else if (what === 3) both(run.back(roll(run.bar + 1)));
      else if (what === 4) {
        // What was said twice counts once.
        const news = run.advance(1 + roll(5));
        both(news);
        for (const one of news) expect(picture.hear(...one)).toBe(false);
      } else {
        // The connection breaks; what was missed comes after a snapshot that the record alone made.
        const after = picture.cursor!;
        const missed = [...run.advance(1 + roll(10)), ...(roll(2) ? run.back(roll(run.bar + 1)) : [])];
        picture.joined();
        expect(picture.hear("backtest:trade", { ...missed[0]![1], seq: 9_999_999 })).toBe(false);
        picture.hear("backtest:state", { backtestId: "bt_1", snapshot: true, partial: true, status: "running", progressPercent: 1, ...after } as never);
        both(missed);
        if (roll(2)) both([run.snapshot()]);
      }
      same(picture, run, reference);
    }
    expect(picture.cursor).toEqual({ epoch: 1, seq: run.seq });
  });

  it("keeps what it drew where the record alone speaks, and takes its words where nobody else has", () => {
    const picture = new Picture();
    picture.joined();
    picture.hear("backtest:state", { snapshot: true, partial: true, status: "pending", progressPercent: 0, epoch: 0, seq: 0 } as never);
    expect([picture.status, picture.begun, picture.end]).toEqual(["pending", false, null]);
    picture.joined();
    picture.hear("backtest:state", { snapshot: true, partial: true, status: "stopped", resultId: "re_1", progressPercent: 12, epoch: 1, seq: 4 } as never);
    expect(picture.end).toMatchObject({ status: "stopped", resultId: "re_1" });
  });

  it("is whole without a snapshot where one listened before the first bar", () => {
    const [run, picture, reference] = [new Run(), new Picture(), new Reference()];
    picture.joined();
    picture.hear("backtest:state", { snapshot: true, partial: true, status: "paused", progressPercent: 0, epoch: 0, seq: 0 } as never);
    for (const news of [...run.advance(30), ...run.back(7), ...run.advance(3)]) {
      picture.hear(...news);
      reference.hear(news);
    }
    same(picture, run, reference);
    expect([picture.begun, picture.lacks]).toEqual([true, false]);
  });

  it("knows what it lacks where a run goes on that nobody watched, until a snapshot says all", () => {
    const [run, picture] = [new Run(), new Picture()];
    run.advance(100);
    picture.joined();
    picture.hear("backtest:state", { snapshot: true, partial: true, status: "paused", progressPercent: 25, currentCandleIndex: 100, epoch: 1, seq: run.seq } as never);
    const [from, news] = [run.bar, run.advance(4)];
    for (const one of news) picture.hear(one[0], { ...one[1], firstBar: from } as never);
    expect([picture.begun, picture.lacks, picture.bar, picture.curve.length]).toEqual([false, true, 104, 0]);
    picture.hear(...run.snapshot());
    expect([picture.begun, picture.lacks, picture.curve.length, picture.closed.length]).toEqual([true, false, 104, 20]);
  });

  it("hears a worker that took the run over, and not the one before it", () => {
    const [run, picture] = [new Run(), new Picture()];
    for (const one of [run.snapshot(), ...run.advance(20)]) picture.hear(...one);
    const late = new Run();
    late.advance(200);
    run.epoch = 2;
    run.seq = 0;
    for (const one of [run.snapshot(), ...run.advance(3)]) picture.hear(...one);
    expect(picture.bar).toBe(23);
    expect(picture.hear(...late.state([]))).toBe(false);
    expect(picture.bar).toBe(23);
  });

  it("ends once, with what was said of it", () => {
    const picture = new Picture();
    picture.hear("backtest:error", { error: "no bars", code: "no_data", errors: [{ field: "startDate", message: "is too late" }], epoch: 1, seq: 3 } as never);
    expect(picture.status).toBe("failed");
    expect(picture.end).toMatchObject({ error: "no bars", errors: [{ field: "startDate" }] });
    picture.stands("running");
    expect(picture.status).toBe("failed");
  });

  it("counts a replay by its own numbers, and nothing else is of it", () => {
    const [run, picture] = [new Run(), new Picture(true)];
    const replayed = ([event, said]: News): News => [event, { ...said, epoch: undefined, seq: undefined, replay: true, replaySeq: said["seq"] }];
    picture.joined();
    expect(picture.hear(...run.snapshot())).toBe(false);
    for (const one of run.advance(6)) picture.hear(...replayed(one));
    expect(picture.bar).toBe(null);
    picture.hear(...replayed(run.snapshot()));
    for (const one of run.advance(6)) picture.hear(...replayed(one));
    expect([picture.bar, picture.cursor]).toEqual([12, null]);
    picture.joined();
    run.seq = 0;
    run.bar = 0;
    picture.hear(...replayed(run.snapshot()));
    expect(picture.bar).toBe(0);
  });

  it("stays bounded, and counts what it forgot", () => {
    const picture = new Picture();
    const run = new Run(60_000);
    picture.hear(...run.snapshot());
    const one = run.trade(10) as unknown as Trade;
    for (let turn = 0; turn < 6; turn += 1) {
      const columns = Object.fromEntries(Object.entries(one).map(([name, value]) => [name, Array.from({ length: 1_000 }, () => value)]));
      picture.hear(...run.say("backtest:trade", { what: "closed", trade: one, trades: columns, skipped: 3 }));
    }
    for (let bar = 0; bar < 5_000; bar += 1) {
      picture.hear(...run.say("backtest:candle", { bar, time: iso(bar * HOUR), open: 1, high: 1, low: 1, close: 1, volume: 1 }));
      picture.hear(...run.say("backtest:signal", { bar, time: iso(bar * HOUR), signal: 1 }));
      picture.hear(...run.say("backtest:log", { entries: [{ number: bar + 1, message: "x" }] }));
    }
    expect([picture.closed.length, picture.skipped]).toEqual([TRADES_MAX, 1_018]);
    expect(picture.candles.length).toBeLessThanOrEqual(3_000);
    expect([picture.signals.length, picture.logs.length, picture.logs.at(-1)?.number]).toEqual([500, 2_000, 5_000]);
  });

  it("puts the lines it fetched before those it heard, each once", () => {
    const picture = new Picture();
    const line = (number: number) => ({ number, timestamp: "", level: "INFO", message: "", module: "", function: "", line: 1, loggerName: "" });
    picture.hear("backtest:state", new Run().snapshot()[1] as never);
    picture.hear("backtest:log", { entries: [line(3), line(4)], epoch: 1, seq: 5 } as never);
    picture.takeLogs([line(1), line(2), line(3)]);
    expect(picture.logs.map((one) => one.number)).toEqual([1, 2, 3, 4]);
  });
});

describe("a curve", () => {
  it("is what a map of its points is", () => {
    const roll = dice(11);
    const [curve, points] = [new Curve(), new Map<number, number>()];
    for (let turn = 0; turn < 5_000; turn += 1) {
      const time = roll(2) ? turn * 3 : roll(turn * 3 + 1);
      curve.put(time, turn);
      points.set(time, turn);
      if (roll(500) === 0) {
        const cut = roll(turn * 3 + 1);
        curve.cut(cut);
        for (const one of points.keys()) if (one >= cut) points.delete(one);
      }
    }
    const wanted = [...points].sort(([one], [other]) => one - other);
    expect([...curve.times]).toEqual(wanted.map(([time]) => time));
    expect([...curve.values]).toEqual(wanted.map(([, value]) => value));
  });

  it("never keeps more than it may, nor loses its first, last, lowest and highest point", () => {
    const curve = new Curve(1_000);
    for (let bar = 0; bar < 30_000; bar += 1) {
      curve.put(bar, bar === 14_000 ? -5 : bar === 21_001 ? 99 : Math.sin(bar));
      if (curve.length > 1_000) throw new Error(`${curve.length} points`);
    }
    expect(curve.peakAt(curve.length - 1)).toBe(99);
    const values = [...curve.values];
    expect([curve.times[0], curve.times[curve.length - 1], Math.min(...values), Math.max(...values), curve.thinned]).toEqual([0, 29_999, -5, 99, true]);
  });
});
