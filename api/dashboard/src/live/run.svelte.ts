// One backtest as a page shows it: its picture, kept by news from the socket, its record, and the commands to it. A replay
// of an ended one is the same, played back to this socket alone.

import { get, post, Problem, words } from "../http";

import { live } from "./socket.svelte";
import { Picture, TRADES_MAX, type Decision, type Speed } from "./picture";
import { Steering, type Answer, type Command } from "./steering.svelte";
import type { ClosedTrade } from "../wire/messages";
import type { components } from "../wire/openapi";

export type Backtest = components["schemas"]["Backtest"];
type LlmDecision = components["schemas"]["LlmDecision"];
type Ack = { ok: true; recovered?: boolean; replay?: { bar: number; totalBars: number } } | { ok: false; errors: { field: string; message: string; code: string }[] };

/** Text changes no more often than that: a number that changes with each frame cannot be read. */
const TICK_MS = 200;
const RATE_OVER_MS = 3_000;
const LOG_PAGES_MAX = 10;
const DECISION_PAGES_MAX = 5;
const PAGE = 1_000;
/** For a snapshot of the run's own, where what it tells goes on from something that is not here. */
const SUBSCRIBE_AGAIN_MS = 2_000;
/** A pace that one can follow. */
export const REPLAY_SPEED: Speed = 50;
/** A replay that is taken up again stands still until it is told its pace. */
const CRAWL: Speed = 0.1;

export interface ReplayFrom {
  from: number;
  speed: Speed;
}

export class Run {
  /** Rises with each frame in which something has changed, `tick` at most five times a second. */
  frame = $state(0);
  tick = $state(0);
  record = $state.raw<Backtest | null>(null);
  /** Why there is nothing to see. */
  problem = $state.raw<Problem | null>(null);
  /** Why what was missed is not all there. */
  notice = $state("");
  /** Bars a second, as measured here; null where it stands. */
  rate = $state<number | null>(null);
  readonly steering: Steering;
  /** Its record, once there is one. */
  readonly known: Promise<Backtest>;
  #know: (record: Backtest) => void = () => undefined;
  #picture: Picture;
  #replay: ReplayFrom | null;
  #leave = new AbortController();
  #asked = 0;
  #ticked = 0;
  #samples: [number, number][] = [];
  #logsAsked = false;
  #subscribedMs = 0;

  constructor(
    readonly id: string,
    replay: ReplayFrom | null = null,
  ) {
    this.#replay = replay;
    this.#picture = new Picture(replay !== null);
    this.known = new Promise((resolve) => (this.#know = resolve));
    this.steering = new Steering(
      (command) => (this.#replay ? this.#steerReplay(command) : this.#steer(command)),
      (answer) => {
        const status = answer.status === "replaying" ? "running" : answer.status;
        if (status !== "ended") this.#picture.stands(status, answer);
        this.#changed();
      },
    );
  }

  get replays(): boolean {
    return this.#replay !== null;
  }

  /** How long it ran, from its last beginning; null where that is not known. */
  get tookS(): number | null {
    const { startedAt, completedAt } = this.record ?? {};
    return startedAt && completedAt ? (Date.parse(completedAt) - Date.parse(startedAt)) / 1_000 : null;
  }

  /** As of the newest frame. */
  get picture(): Picture {
    void this.frame;
    return this.#picture;
  }

  /** The same for text. */
  get now(): Picture {
    void this.tick;
    return this.#picture;
  }

  /** Begins to listen; what it returns ends that. */
  open(): () => void {
    const socket = live.socket;
    const subscribe = () => void this.#subscribe();
    const hear = (event: string, said: unknown) => this.#hear(event, said);
    socket.on("connect", subscribe);
    socket.onAny(hear);
    if (socket.connected) subscribe();
    void this.reload();
    return () => {
      socket.off("connect", subscribe);
      socket.offAny(hear);
      if (socket.connected) socket.emit("backtest:unsubscribe", { backtestId: this.id });
      this.#leave.abort();
      this.steering.close();
      cancelAnimationFrame(this.#asked);
    };
  }

  /** Plays an ended one back from its beginning again. */
  again(): void {
    const speed = this.#picture.speed;
    this.#replay = { from: 0, speed: speed === "max" ? REPLAY_SPEED : speed };
    this.#picture = new Picture(true);
    void this.#subscribe();
    this.#changed();
  }

  /** Its record, and what is stored of it where it has ended already. */
  async reload(): Promise<void> {
    try {
      const record = await get("/api/algo/backtest/{backtest_id}", { path: { backtest_id: this.id }, signal: this.#leave.signal });
      this.record = record;
      this.#know(record);
      this.problem = null;
      if (this.replays) return;
      const picture = this.#picture;
      picture.stands(record.status, { progress: record.progress, ...(picture.begun ? {} : { speed: (record.params["speed"] as Speed | undefined) ?? "max" }) });
      const error = record.error as { message?: string; error?: string; code?: string; errors?: { field?: string; message?: string }[] } | null;
      picture.recorded(record.status, { resultId: record.resultId, error: error?.message ?? error?.error ?? "", code: error?.code ?? "", errors: error?.errors ?? [] });
      if (picture.end && record.resultId && !picture.begun) await this.#loadResult(record.backtestId);
      this.#changed();
    } catch (error) {
      if (!this.#leave.signal.aborted) this.#fail(error);
    }
  }

  async #loadResult(id: string): Promise<void> {
    const ask = { path: { backtest_id: id }, signal: this.#leave.signal };
    const [equity, result] = await Promise.all([
      get("/api/algo/backtest/{backtest_id}/equity", { ...ask, query: { maxPoints: 10_000 } }),
      get("/api/algo/backtest/{backtest_id}/result", ask),
    ]);
    const offset = Math.max(0, Number(result.metrics["totalTrades"] ?? 0) - TRADES_MAX);
    const last = await get("/api/algo/backtest/{backtest_id}/trades", { ...ask, query: { limit: TRADES_MAX, offset } });
    this.#picture.takeResult(equity.points, last.items as unknown as ClosedTrade[], last.total, result.metrics);
  }

  /** What was logged before one looked; once. */
  async loadLogs(): Promise<void> {
    if (this.#logsAsked) return;
    this.#logsAsked = true;
    const lines: components["schemas"]["LogEntry"][] = [];
    try {
      for (let [after, page] = [0, 0]; page < LOG_PAGES_MAX; page += 1) {
        const got = await get("/api/algo/backtest/{backtest_id}/logs", { path: { backtest_id: this.id }, query: { after, limit: PAGE }, signal: this.#leave.signal });
        lines.push(...got.items);
        if (!got.more) break;
        after = got.after;
      }
      this.#picture.takeLogs(lines);
      this.#changed();
    } catch (error) {
      this.#logsAsked = false;
      if (!this.#leave.signal.aborted) this.notice = `The log could not be read: ${words(error)}`;
    }
  }

  /** What models decided before one looked. */
  async loadDecisions(): Promise<void> {
    const decisions: Decision[] = [];
    try {
      for (let [after, page] = [-1, 0]; page < DECISION_PAGES_MAX; page += 1) {
        const got = await get("/api/algo/backtest/{backtest_id}/decisions", { path: { backtest_id: this.id }, query: { after, limit: 200 }, signal: this.#leave.signal });
        decisions.push(...got.items.map(decisionOf));
        if (!got.more) break;
        after = got.after;
      }
      if (decisions.length) this.#picture.takeDecisions(decisions);
      this.#changed();
    } catch (error) {
      if (!this.#leave.signal.aborted) this.notice = `What was decided before could not be read: ${words(error)}`;
    }
  }

  #fail(error: unknown): void {
    const problem = error instanceof Problem ? error : new Problem(0, "unreachable", words(error));
    if (problem.status === 404 || problem.status === 403 || !this.record) this.problem = problem;
    else this.notice = problem.message;
  }

  async #subscribe(): Promise<void> {
    // One that has ended says nothing more: what is stored of it is all.
    if (!this.#replay) await this.known;
    const picture = this.#picture;
    const replay = this.#replay;
    if (this.#leave.signal.aborted || (!replay && picture.end && !picture.begun)) return;
    picture.joined();
    this.#subscribedMs = performance.now();
    this.#samples = [];
    const paused = replay && picture.begun && picture.status === "paused";
    const ask = replay
      ? { replay: { from: picture.begun ? picture.barNow : replay.from, speed: paused ? CRAWL : picture.begun ? picture.speed : replay.speed } }
      : picture.begun && picture.cursor && { after: picture.cursor };
    let ack: Ack;
    try {
      ack = (await live.socket.timeout(15_000).emitWithAck("backtest:subscribe", { backtestId: this.id, ...ask })) as Ack;
    } catch {
      if (!this.#leave.signal.aborted && live.socket.connected) this.notice = "The gateway has not answered the subscription; what you see may be old.";
      return;
    }
    if (this.#leave.signal.aborted) return;
    if (!ack.ok) {
      const [first] = ack.errors;
      this.#fail(new Problem(first?.code === "not_found" ? 404 : 409, first?.code ?? "refused", first?.message ?? "It cannot be watched.", ack.errors));
      return;
    }
    this.problem = null;
    this.notice = ack.recovered === false && picture.begun ? "Some of what was missed is no longer kept; the run's own snapshot makes up for it." : "";
    if (paused) {
      this.steering.ask({ action: "pause" });
      this.steering.ask({ action: "speed", speed: picture.speed });
    }
  }

  #hear(event: string, said: unknown): void {
    if (typeof said !== "object" || said === null || (said as { backtestId?: unknown }).backtestId !== this.id) return;
    const { commandId } = said as { commandId?: unknown };
    const before = this.#picture.status;
    if (!this.#picture.hear(event, said)) return;
    if (commandId) this.steering.hear(commandId);
    if (event === "backtest:state" || event === "backtest:candle") this.#measure();
    if (this.#picture.status !== before) void this.reload();
    if (this.#picture.lacks && performance.now() - this.#subscribedMs > SUBSCRIBE_AGAIN_MS) void this.#subscribe();
    this.#changed();
  }

  #measure(): void {
    const now = performance.now();
    const bar = this.#picture.barNow;
    const last = this.#samples.at(-1);
    if (last && (bar < last[1] || this.#picture.status !== "running")) this.#samples = [];
    this.#samples.push([now, bar]);
    while (this.#samples.length > 2 && now - this.#samples[0]![0] > RATE_OVER_MS) this.#samples.shift();
    const first = this.#samples[0]!;
    const running = this.#picture.status === "running" && now - first[0] > 250;
    this.rate = running ? ((bar - first[1]) / (now - first[0])) * 1_000 : null;
  }

  /** Many messages are one frame. */
  #changed(): void {
    if (this.#asked) return;
    this.#asked = requestAnimationFrame((at) => {
      this.#asked = 0;
      this.frame += 1;
      if (at - this.#ticked >= TICK_MS) this.#tick(at);
      else this.#later ??= setTimeout(() => this.#tick(performance.now()), TICK_MS);
    });
  }
  #later: ReturnType<typeof setTimeout> | null = null;

  #tick(at: number): void {
    if (this.#later !== null) clearTimeout(this.#later);
    this.#later = null;
    this.#ticked = at;
    this.tick += 1;
  }

  async #steer({ action, ...body }: Command & { commandId: string }): Promise<Answer> {
    try {
      return await post(`/api/algo/backtest/{backtest_id}/${action}`, { path: { backtest_id: this.id }, body });
    } catch (error) {
      if (error instanceof Problem && error.status === 409) void this.reload();
      throw error;
    }
  }

  async #steerReplay(command: Command & { commandId: string }): Promise<Answer> {
    const said: unknown = await live.socket.timeout(10_000).emitWithAck("backtest:control", { backtestId: this.id, ...command });
    const answer = said as ({ ok: true } & Answer) | { ok: false; errors: { message: string }[] };
    if (!answer.ok) throw new Error(answer.errors[0]?.message ?? "The replay refused it.");
    return answer;
  }
}

function decisionOf(one: LlmDecision): Decision {
  const { said, decision } = one;
  return {
    bar: one.bar,
    time: one.time,
    strategy: one.strategy,
    action: one.action,
    reasoning: said?.reasoning ?? one.reason,
    confidence: said?.confidence ?? 0,
    sizeFraction: decision.sizeFraction,
    stopLossPrice: decision.stopPrice,
    takeProfitPrice: decision.targetPrice,
    abstained: one.abstained,
    reason: one.reason || null,
    safety: one.safety,
    model: one.model,
    stored: one.stored,
    costUsd: one.costUsd,
    tokensIn: one.tokensIn,
    tokensOut: one.tokensOut,
    latencyMs: one.latencyMs,
  };
}
