// The picture of one run, drawn from what is said of it and from nothing else: a state with `snapshot` replaces all there
// is, a point replaces one of the same time, a closed trade is appended, and where `currentCandleIndex` falls, what came
// from that bar on is void. What is `partial` replaces nothing. All it keeps is bounded.

import type {
  CandleTold,
  ClosedTrade,
  Complete,
  DecisionTold,
  Failure,
  LogEntry,
  LogLine,
  LogTold,
  OpenedTrade,
  OpenTrade,
  PartialState,
  PausedTold,
  Progress,
  Signal,
  SignalTold,
  StartedTold,
  StateTold,
  ThinkingTold,
  TradeTold,
} from "../wire/messages";
import { Curve } from "./curve";

export type Status = "pending" | "running" | "paused" | "completed" | "failed" | "stopped";
export type Speed = number | "max";
export interface Cursor {
  epoch: number;
  seq: number;
}
/** With its times in milliseconds. */
export interface Trade extends ClosedTrade {
  entryMs: number;
  exitMs: number;
}
export interface Candle {
  bar: number;
  time: number;
  open: number;
  high: number;
  low: number;
  close: number;
  volume: number;
  indicators: Record<string, number | null>;
}
export type Decision = Pick<
  DecisionTold,
  | "bar" | "strategy" | "action" | "reasoning" | "confidence" | "sizeFraction" | "stopLossPrice" | "takeProfitPrice" | "abstained"
  | "reason" | "safety" | "model" | "stored" | "costUsd" | "tokensIn" | "tokensOut" | "latencyMs"
> & { time: string };
export type LogSaid = LogLine & { number?: number };
export interface Figures {
  totalTrades: number;
  winningTrades: number;
  losingTrades: number;
  /** Percent. */
  winRate: number | null;
  totalPnl: number;
}
export interface End {
  status: "completed" | "stopped" | "failed";
  resultId: string | null;
  error: string;
  code: string;
  errors: { field?: string; message?: string }[];
}
/** What every message says of where it stands; a replay counts by itself. */
interface Numbered {
  backtestId?: string;
  epoch?: number | null;
  seq?: number | null;
  replay?: boolean | null;
  replaySeq?: number | null;
}

export const TRADES_MAX = 5_000;
export const CANDLES_MAX = 2_000;
export const SIGNALS_MAX = 500;
export const DECISIONS_MAX = 1_000;
export const LOGS_MAX = 2_000;
const OPEN_MAX = 200;
const STATUS_FLOW = ["pending", "running", "paused"];
const NO_FIGURES: Figures = { totalTrades: 0, winningTrades: 0, losingTrades: 0, winRate: null, totalPnl: 0 };

export class Picture {
  status: Status = "pending";
  /** Bars processed; null while that is not known. */
  bar: number | null = null;
  totalBars: number | null = null;
  /** When the last processed bar opened, in milliseconds; null before the first. */
  timeMs: number | null = null;
  progress = 0;
  speed: Speed = "max";
  capital: number | null = null;
  peak: number | null = null;
  /** Percent, 0 or below. */
  drawdown: number | null = null;
  figures: Figures = NO_FIGURES;
  etaS: number | null = null;
  message = "";
  openTrades: OpenTrade[] = [];
  closed: Trade[] = [];
  /** Closed before those of `closed`. */
  skipped = 0;
  readonly curve = new Curve();
  /** Whether the run left points out. */
  thinned = false;
  /** As they were told, a bar after the other; only of slow runs and of steps. */
  candles: Candle[] = [];
  signals: Signal[] = [];
  decisions: Decision[] = [];
  thinking: { bar: number; time: string; strategy: string } | null = null;
  logs: LogSaid[] = [];
  logsDropped = 0;
  end: End | null = null;
  /** Whether all until now is here: the run, or its replay, said where it stands, or was heard from its first bar. */
  begun = false;
  /** Whether the run goes on from something that is not here: only a snapshot of its own makes up for that. */
  lacks = false;
  /** How far it was heard: `after` of the next subscription. */
  cursor: Cursor | null = null;
  /** Rises when something earlier than the last bar changed, so that what was drawn has to be drawn anew. */
  revision = 0;
  #caughtUp = false;
  #applied: [number, number] = [-1, -1];

  constructor(readonly replay = false) {}

  /** Bars processed, as the newest state or candle says: states come less often than candles of a slow run. */
  get barNow(): number {
    const last = this.candles.at(-1);
    return Math.max(this.bar ?? 0, last ? last.bar + 1 : 0);
  }

  /** When the last processed bar opened; null before the first. */
  get msNow(): number | null {
    const last = this.candles.at(-1);
    return last && last.bar >= (this.bar ?? 0) ? last.time : this.timeMs;
  }

  /** A new subscription: what comes before its snapshot is newer than what was missed. A replay numbers anew. */
  joined(): void {
    this.#caughtUp = false;
    if (this.replay) this.#applied = [-1, -1];
  }

  /** Whether it was of this picture, and new. */
  hear(event: string, said: Numbered): boolean {
    if (Boolean(said.replay) !== this.replay) return false;
    const snapshot = event === "backtest:state" && (said as StateTold).snapshot === true;
    if (!this.#counts(event, said, snapshot)) return false;
    switch (event) {
      case "backtest:state":
        if ("partial" in said) this.#partial(said as unknown as PartialState);
        else this.#state(said as StateTold);
        break;
      case "backtest:trade":
        this.#trade(said as TradeTold);
        break;
      case "backtest:signal":
        this.#signal(said as SignalTold);
        break;
      case "backtest:candle":
        this.#candle(said as CandleTold);
        break;
      case "backtest:decision":
        this.#decision(said as DecisionTold & { time: string });
        break;
      case "backtest:thinking":
        this.thinking = said as ThinkingTold;
        break;
      case "backtest:log":
        this.#log(said as LogTold);
        break;
      case "backtest:progress":
        this.#progress(said as Progress);
        break;
      case "backtest:paused":
      case "backtest:resumed":
        this.#standing(said as PausedTold, event === "backtest:paused" ? "paused" : "running");
        break;
      case "backtest:started":
        this.#started(said as StartedTold);
        break;
      case "backtest:complete":
        this.#complete(said as Complete);
        break;
      case "backtest:error":
        this.#failure(said as Failure);
        break;
      default:
        return false;
    }
    return true;
  }

  /** Whether it is new, and may be drawn as things stand. Moves the cursor. */
  #counts(event: string, said: Numbered, snapshot: boolean): boolean {
    const epoch = this.replay ? 0 : said.epoch;
    const seq = this.replay ? said.replaySeq : said.seq;
    const numbered = typeof epoch === "number" && typeof seq === "number";
    this.#caughtUp ||= snapshot;
    if (!this.#caughtUp) return ["backtest:progress", "backtest:paused", "backtest:resumed", "backtest:started", "backtest:complete", "backtest:error"].includes(event);
    if (!numbered) return true;
    const [had, hadSeq] = this.#applied;
    const newer = epoch > had || (epoch === had && seq > hadSeq);
    if (newer) {
      this.#applied = [epoch, seq];
      if (!this.replay) this.cursor = { epoch, seq };
    }
    return newer || snapshot;
  }

  /** What an answer to a command, or the record, says: how things stand where no run says so itself. */
  stands(status: Status, about: { speed?: Speed | null; progress?: number; bar?: number | null; totalBars?: number | null } = {}): void {
    if (this.end) return;
    this.status = status;
    if (about.speed != null) this.speed = about.speed;
    if (about.totalBars != null) this.totalBars = about.totalBars;
    if (this.begun) return;
    if (about.progress !== undefined) this.progress = about.progress;
    if (about.bar != null) this.bar = about.bar;
  }

  /** What is stored of one that ended before somebody looked. */
  recorded(status: Status, end: Omit<End, "status">): void {
    if (this.end && (this.end.error || !end.error)) return;
    if (status !== "completed" && status !== "stopped" && status !== "failed") return;
    this.end = { status, ...end };
    this.status = status;
    if (status === "completed") this.progress = 100;
  }

  /** The result's curve and last trades, where no run has told any. */
  takeResult(points: { time: string; equity: number | null }[], trades: ClosedTrade[], total: number, metrics: Record<string, unknown>): void {
    if (this.begun) return;
    this.curve.clear();
    for (const point of points) this.curve.put(Date.parse(point.time), point.equity);
    this.closed = trades.map(timed);
    this.skipped = total - trades.length;
    const known = (name: string) => (typeof metrics[name] === "number" ? metrics[name] : null);
    this.figures = { totalTrades: total, winningTrades: known("winningTrades") ?? 0, losingTrades: known("losingTrades") ?? 0, winRate: total ? known("winRate") : null, totalPnl: 0 };
    if (points.length) {
      const row = this.curve.length - 1;
      this.timeMs = this.curve.last;
      this.capital = this.curve.valueAt(row);
      this.peak = this.curve.peakAt(row);
      this.drawdown = 100 * (this.capital / this.peak - 1);
    }
    this.revision += 1;
  }

  /** Logs as HTTP has them; those that were heard meanwhile stay. */
  takeLogs(lines: LogEntry[]): void {
    const last = lines.at(-1)?.number ?? 0;
    this.logs = [...lines, ...this.logs.filter((one) => one.number === undefined || one.number > last)].slice(-LOGS_MAX);
  }

  /** Decisions as HTTP has them, of the bars until now. */
  takeDecisions(decisions: Decision[]): void {
    const heard = new Set(this.decisions.map(keyOf));
    const all = [...decisions.filter((one) => !heard.has(keyOf(one)) && (this.bar === null || one.bar < this.bar)), ...this.decisions];
    this.decisions = all.sort((one, other) => one.bar - other.bar).slice(-DECISIONS_MAX);
    this.revision += 1;
  }

  #state(said: StateTold): void {
    const bar = said.currentCandleIndex;
    const timeMs = bar ? Date.parse(said.currentTime) : null;
    if (said.snapshot) {
      this.begun = true;
      this.lacks = false;
      this.curve.clear();
      this.thinned = false;
      this.closed = rowsOf<ClosedTrade>(said.trades ?? {}).map(timed);
      this.skipped = said.tradesSkipped ?? 0;
      this.signals = [...said.recentSignals];
      this.#void(bar);
      this.revision += 1;
    } else if (!this.begun && this.end) return; // What is stored of it says more than what is left of its news.
    else if (!this.begun && !this.#begins(said)) {
      this.lacks = true;
      return this.#figures(said, bar, timeMs);
    } else if (this.bar !== null && bar < this.bar) {
      this.curve.cut(timeMs === null ? 0 : timeMs + 1);
      this.closed = this.closed.filter((trade) => trade.exitBar < bar);
      this.signals = this.signals.filter((signal) => signal.bar < bar);
      this.#void(bar);
      this.revision += 1;
    }
    for (const [time, equity] of said.metrics.equityCurve) {
      // A point of the past takes another's place: what is drawn of it is drawn anew.
      if (time < this.curve.last) this.revision += 1;
      this.curve.put(time, equity);
    }
    this.thinned ||= said.metrics.thinned === true;
    this.#figures(said, bar, timeMs);
  }

  /** Whether a first state tells all there is: who listened before the first bar is sent no snapshot. */
  #begins(said: StateTold): boolean {
    const { equityCurve, totalTrades } = said.metrics;
    this.begun = said.firstBar === 0 && equityCurve.length > 0 && totalTrades === this.closed.length + this.skipped;
    return this.begun;
  }

  #figures(said: StateTold, bar: number, timeMs: number | null): void {
    const { totalTrades, winningTrades, losingTrades, winRate, totalPnl } = said.metrics;
    this.bar = bar;
    this.timeMs = timeMs;
    this.totalBars = said.totalCandles;
    this.progress = said.progressPercent;
    this.speed = said.speed;
    this.capital = said.currentCapital;
    this.peak = said.peakCapital;
    this.drawdown = said.drawdown;
    this.openTrades = said.openTrades;
    this.figures = { totalTrades, winningTrades, losingTrades, winRate: totalTrades ? winRate : null, totalPnl };
    if (!this.end) this.status = said.status;
    if (this.thinking && this.thinking.bar + 1 < bar) this.thinking = null;
  }

  /** What is void from a bar on, beside curve and trades. */
  #void(bar: number): void {
    this.candles = this.candles.filter((one) => one.bar < bar);
    this.decisions = this.decisions.filter((one) => one.bar < bar);
    if (this.thinking && this.thinking.bar >= bar) this.thinking = null;
  }

  /** What the record knows: it replaces nothing that a run said, and fills in where none has said anything. */
  #partial(said: PartialState): void {
    if (!this.end && STATUS_FLOW.includes(said.status)) this.status = said.status;
    this.progress = Math.max(this.begun ? this.progress : 0, said.progressPercent);
    if (said.speed != null) this.speed = said.speed;
    this.totalBars ??= said.totalCandles ?? null;
    if (!this.end && (said.status === "completed" || said.status === "stopped" || said.status === "failed")) {
      this.end = { status: said.status, resultId: said.resultId ?? null, error: "", code: "", errors: [] };
      this.status = said.status;
    }
    if (this.begun) return;
    this.bar ??= said.currentCandleIndex ?? null;
    this.capital ??= said.currentCapital ?? null;
    this.peak ??= said.peakCapital ?? null;
    this.drawdown ??= said.drawdown ?? null;
    const at = said.currentTime ? Date.parse(said.currentTime) : NaN;
    if (this.bar && !Number.isNaN(at)) this.timeMs ??= at;
    if (said.openTrades && !this.openTrades.length) this.openTrades = said.openTrades;
  }

  #trade(said: TradeTold): void {
    if (said.what === "opened") return this.#opened(said);
    const all = said.trades ? rowsOf<ClosedTrade>(said.trades) : [said.trade as ClosedTrade];
    const gone = new Set(all.map(entryOf));
    this.openTrades = this.openTrades.filter((one) => !gone.has(entryOf(one)));
    this.closed = this.closed.concat(all.map(timed));
    this.skipped += said.skipped ?? 0;
    const over = this.closed.length - TRADES_MAX;
    if (over > 0) {
      this.closed = this.closed.slice(over);
      this.skipped += over;
    }
  }

  /** Until the next state, which tells of all that are open. */
  #opened(said: TradeTold): void {
    const all = said.trades ? rowsOf<OpenedTrade>(said.trades) : [said.trade as OpenedTrade];
    const known = new Set(this.openTrades.map(entryOf));
    const news = all.filter((one) => !known.has(entryOf(one)) && (this.bar === null || one.entryBar >= this.bar));
    const unknown = { stopPrice: null, targetPrice: null, trailingStopPrice: null, entryFee: null, unrealisedPnl: null };
    this.openTrades = this.openTrades.concat(news.map((one) => ({ ...unknown, ...one }))).slice(-OPEN_MAX);
  }

  #signal(said: SignalTold): void {
    const all = said.signals ?? [{ bar: said.bar, time: said.time, signal: said.signal }];
    this.signals = this.signals.concat(all).slice(-SIGNALS_MAX);
  }

  #candle(said: CandleTold): void {
    const { bar, open, high, low, close, volume } = said;
    const one = { bar, time: Date.parse(said.time), open, high, low, close, volume, indicators: said.indicators ?? {} };
    // Whoever went back hears the same bars again.
    while (this.candles.length && this.candles[this.candles.length - 1]!.bar >= bar) this.candles.pop();
    this.candles.push(one);
    if (this.candles.length > 1.5 * CANDLES_MAX) this.candles = this.candles.slice(-CANDLES_MAX);
  }

  #decision(said: DecisionTold & { time: string }): void {
    const kept = this.decisions.filter((one) => keyOf(one) !== keyOf(said));
    this.decisions = [...kept, said].slice(-DECISIONS_MAX);
    if (this.thinking?.strategy === said.strategy) this.thinking = null;
  }

  #log(said: LogTold): void {
    const last = this.logs.findLast((one) => one.number !== undefined)?.number ?? 0;
    const news = (said.entries as LogSaid[]).filter((one) => one.number === undefined || one.number > last);
    this.logs = this.logs.concat(news).slice(-LOGS_MAX);
    this.logsDropped += said.dropped ?? 0;
  }

  #progress(said: Progress): void {
    this.message = said.message;
    this.etaS = said.etaSeconds ?? null;
    this.totalBars ??= said.totalBars ?? null;
    if (!this.begun) {
      this.progress = said.progress;
      this.bar = said.processedBars ?? this.bar;
    }
    if (!this.end && this.status === "pending") this.status = "running";
  }

  #standing(said: PausedTold, status: Status): void {
    if (this.end) return;
    this.status = status;
    this.speed = said.speed;
    this.totalBars = said.totalBars;
    this.etaS = null;
  }

  #started(said: StartedTold): void {
    this.totalBars = said.totalBars;
    if (!this.replay && !this.end && this.status === "pending") this.status = "running";
  }

  #complete(said: Complete): void {
    const status = said.stopped ? "stopped" : "completed";
    this.end = { status, resultId: said.resultId, error: "", code: "", errors: [] };
    this.status = status;
    this.thinking = null;
    if (status === "completed") this.progress = 100;
  }

  #failure(said: Failure): void {
    this.end = { status: "failed", resultId: null, error: said.error, code: said.code ?? "", errors: said.errors ?? [] };
    this.status = "failed";
    this.thinking = null;
  }
}

const entryOf = (one: { entryBar: number; direction: string; quantity: number; entryPrice: number }) => `${one.entryBar} ${one.direction} ${one.quantity} ${one.entryPrice}`;
const keyOf = (one: { bar: number; strategy: string }) => `${one.bar} ${one.strategy}`;

export const timed = (trade: ClosedTrade): Trade => ({ ...trade, entryMs: Date.parse(trade.entryTime), exitMs: Date.parse(trade.exitTime) });

/** Columns as rows: one list for each field, one entry in each for every row. */
export function rowsOf<Row>(columns: Record<string, unknown[]>): Row[] {
  const names = Object.keys(columns);
  const first = names[0];
  return first === undefined ? [] : columns[first]!.map((_, row) => Object.fromEntries(names.map((name) => [name, columns[name]![row]])) as Row);
}
