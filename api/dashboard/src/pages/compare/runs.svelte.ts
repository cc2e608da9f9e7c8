// The runs that are compared: those that ended as they are stored, those that run as they are told.

import { get, Problem, words } from "../../http";
import { Picture } from "../../live/picture";
import { live } from "../../live/socket.svelte";
import type { components } from "../../wire/openapi";
import { labelOf } from "./labels";
import { deepestDrawdown, type Points } from "./series";

export type Backtest = components["schemas"]["Backtest"];

const POINTS = 1_000;
const AT_ONCE = 6;
const DRAW_EVERY_MS = 250;
const DRAW_LOADING_MS = 500;
const ACK_MS = 15_000;
const GOES_ON = new Set(["pending", "running", "paused"]);

export class ComparedRun {
  record = $state.raw<Backtest | null>(null);
  /** Of the result; null before it. */
  metrics = $state.raw<Record<string, unknown> | null>(null);
  /** Why there is nothing, or not all, to see. */
  problem = $state("");
  status = $state("");
  progress = $state(0);
  picture: Picture | null = null;
  #stored: Points | null = null;

  constructor(
    readonly id: string,
    /** Which of the colours. */
    readonly slot: number,
  ) {}

  get goesOn(): boolean {
    return GOES_ON.has(this.status);
  }

  get label(): string {
    return this.record ? labelOf(this.record) : this.id;
  }

  get initial(): number {
    const money = this.record?.params["initialCapital"];
    return typeof money === "number" && money > 0 ? money : 10_000;
  }

  points(): Points | null {
    const { picture } = this;
    if (this.#stored || !picture?.curve.length) return this.#stored;
    return { time: picture.curve.times, equity: picture.curve.values, initial: this.initial, bars: picture.thinned || picture.curve.thinned ? picture.bar : null };
  }

  /** Of one that goes on: what is known of it so far. */
  soFar(): Record<string, unknown> {
    const { picture } = this;
    if (!picture?.begun) return {};
    const { totalTrades, winningTrades, losingTrades, winRate } = picture.figures;
    const points = this.points();
    const known = { totalReturn: picture.capital === null ? null : 100 * (picture.capital / this.initial - 1), finalEquity: picture.capital };
    return { ...known, maxDrawdown: points && deepestDrawdown(points), totalTrades, winningTrades, losingTrades, winRate: totalTrades ? winRate : null };
  }

  async load(signal: AbortSignal): Promise<void> {
    const ask = { path: { backtest_id: this.id }, signal };
    try {
      const record = await get("/api/algo/backtest/{backtest_id}", ask);
      if (signal.aborted) return;
      this.record = record;
      this.status = record.status;
      this.progress = record.progress;
      this.problem = "";
      if (this.goesOn) this.#watch(record);
      else if (record.resultId) await this.#loadResult(ask);
      else this.problem = `It has no result: ${saidOf(record)}`;
    } catch (error) {
      if (signal.aborted) return;
      this.problem = error instanceof Problem && error.status === 404 ? "There is no such backtest, or it is not yours." : words(error);
    }
  }

  #watch(record: Backtest): void {
    this.picture ??= new Picture();
    this.picture.stands(record.status, { progress: record.progress });
  }

  async #loadResult(ask: { path: { backtest_id: string }; signal: AbortSignal }): Promise<void> {
    const [result, curve] = await Promise.all([
      get("/api/algo/backtest/{backtest_id}/result", ask),
      get("/api/algo/backtest/{backtest_id}/equity", { ...ask, query: { maxPoints: POINTS } }),
    ]);
    if (ask.signal.aborted) return;
    this.metrics = result.metrics;
    const time = curve.points.map((one) => Date.parse(one.time));
    const equity = curve.points.map((one) => one.equity ?? NaN);
    this.#stored = { time, equity, initial: this.initial, bars: result.totalBars };
    this.picture = null;
  }

  /** Whether it was news of this run. */
  hear(event: string, said: object): boolean {
    if (!this.picture?.hear(event, said)) return false;
    this.status = this.picture.status;
    this.progress = this.picture.progress;
    return true;
  }
}

function saidOf(record: Backtest): string {
  const error = record.error as { error?: string; message?: string } | null;
  return error?.error ?? error?.message ?? `it ${record.status === "failed" ? "failed" : "was stopped before its first bar"}.`;
}

export class Comparison {
  runs = $state.raw<ComparedRun[]>([]);
  /** Rises when there is something else to draw, at most four times a second. */
  drawn = $state(0);
  #left = new AbortController();
  #queue: ComparedRun[] = [];
  #loading = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #listening = false;

  /** Those and no others, in this order. */
  show(ids: string[]): void {
    const had = new Map(this.runs.map((one) => [one.id, one]));
    const taken = new Set(ids.flatMap((id) => had.get(id)?.slot ?? []));
    let slot = 0;
    const runs = ids.map((id) => {
      const there = had.get(id);
      if (there) return there;
      while (taken.has(slot)) slot += 1;
      taken.add(slot);
      const made = new ComparedRun(id, slot);
      this.#queue.push(made);
      return made;
    });
    for (const one of this.runs) if (!ids.includes(one.id)) this.#leave(one);
    this.runs = runs;
    this.#next();
    this.#changed();
  }

  close(): void {
    this.#left.abort();
    clearTimeout(this.#timer);
    for (const one of this.runs) this.#leave(one);
    if (!this.#listening) return;
    live.socket.off("connect", this.#subscribeAll);
    live.socket.offAny(this.#hear);
  }

  #leave(run: ComparedRun): void {
    this.#queue = this.#queue.filter((one) => one !== run);
    if (run.picture && this.#listening && live.socket.connected) live.socket.emit("backtest:unsubscribe", { backtestId: run.id });
    run.picture = null;
  }

  #next(): void {
    while (this.#loading < AT_ONCE) {
      const run = this.#queue.shift();
      if (!run) return;
      this.#loading += 1;
      void run.load(this.#left.signal).finally(() => {
        this.#loading -= 1;
        if (this.#left.signal.aborted) return;
        if (!this.runs.includes(run)) run.picture = null;
        else if (run.picture) this.#watch(run);
        this.#changed();
        this.#next();
      });
    }
  }

  #watch(run: ComparedRun): void {
    if (!this.#listening) {
      this.#listening = true;
      live.socket.on("connect", this.#subscribeAll);
      live.socket.onAny(this.#hear);
    }
    if (live.socket.connected) void this.#subscribe(run);
  }

  #subscribeAll = () => {
    for (const run of this.runs) if (run.picture) void this.#subscribe(run);
  };

  async #subscribe(run: ComparedRun): Promise<void> {
    const { picture } = run;
    if (!picture) return;
    picture.joined();
    let ack: { ok: boolean; errors?: { message: string }[] };
    try {
      ack = (await live.socket.timeout(ACK_MS).emitWithAck("backtest:subscribe", { backtestId: run.id, ...(picture.cursor ? { after: picture.cursor } : {}) })) as typeof ack;
    } catch {
      if (live.socket.connected) run.problem = "The gateway has not answered; what you see of it may be old.";
      return;
    }
    run.problem = ack.ok ? "" : (ack.errors?.[0]?.message ?? "It cannot be watched.");
  }

  #hear = (event: string, said: unknown) => {
    const id = (said as { backtestId?: string } | null)?.backtestId;
    const run = id === undefined ? undefined : this.runs.find((one) => one.id === id);
    if (!run?.hear(event, said as object)) return;
    if (run.picture?.end) {
      if (!this.#queue.includes(run)) this.#queue.push(run);
      this.#next();
    }
    this.#changed();
  };

  #changed(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      if (!this.#left.signal.aborted) this.drawn += 1;
    }, this.#loading > 1 ? DRAW_LOADING_MS : DRAW_EVERY_MS);
  }
}
