// What the result page and the report show, and where the trades come from: a gateway, or the file itself.

import type { Candle } from "../../charts/price";
import type { ClosedTrade } from "../../wire/messages";
import type { components } from "../../wire/openapi";

type Schemas = components["schemas"];
export type Backtest = Schemas["Backtest"];
export type Result = Schemas["Result"];
export type Decision = Schemas["LlmDecision"];

export type Analysis = Schemas["Analysis"];
export type Bins = Schemas["Bins"];
/** `index` is its number in the order trades closed, from 0. A gain beyond all numbers is null. */
export type Trade = Omit<ClosedTrade, "pnl"> & { index: number; pnl: number | null };
/** Bars of the run; of many, of wider ones. */
export type CandleColumns = Pick<Schemas["RunCandles"], "bucketMs" | "time" | "open" | "high" | "low" | "close" | "volume"> & Partial<Pick<Schemas["RunCandles"], "indicators">>;

/** What `report-data` holds: what a gateway puts into the page. */
export interface ReportData {
  backtest: Backtest;
  result: Result;
  analysis: Analysis | null;
  trades: Trade[];
  decisions?: Decision[];
  /** How many trades there were before the file was cut. */
  tradesTotal?: number;
  /** Null where the bars are gone. */
  candles?: CandleColumns | null;
  exportedAt?: string;
}

export interface TradesAsk {
  sort: string;
  order: "asc" | "desc";
  side?: string | undefined;
  outcome?: string | undefined;
  exitReason?: string | undefined;
}
export interface TradesPage {
  items: Trade[];
  total: number;
}
/** Where trades come from. `decisions` are those of one bar; undefined where nobody decided but a formula. */
export interface Source {
  page(ask: TradesAsk, from: number, to: number, signal: AbortSignal): TradesPage | Promise<TradesPage>;
  decisions?(fromBar: number, toBar: number, signal: AbortSignal): Promise<Decision[]>;
}

export const AS_CLOSED: TradesAsk = { sort: "index", order: "asc" };

export const EXIT_REASONS: Record<string, string> = {
  signal: "Signal",
  stop_loss: "Stop loss",
  take_profit: "Take profit",
  trailing_stop: "Trailing stop",
  reversal: "Reversal",
  liquidation: "Liquidation",
  stopped_by_user: "Stopped by user",
  end_of_data: "End of data",
};
/** Which strategy a trade is of; where they came to it only together, that is said. */
export const strategyOf = (trade: Trade): string => trade.strategy ?? "together";
export const reason = (wire: string): string => EXIT_REASONS[wire] ?? wire.replaceAll("_", " ");

const value = (trade: Trade, name: string): number => {
  const found = trade[name as keyof Trade];
  return typeof found === "string" ? Date.parse(found) : (found ?? NaN);
};

/** As the gateway chooses and sorts: what is undefined comes last either way, equal ones as they closed. */
export function chosen(trades: readonly Trade[], { sort, order, side, outcome, exitReason }: TradesAsk): Trade[] {
  const kept = trades.filter(
    (one) =>
      (!side || one.direction === side) &&
      (!outcome || (one.pnl !== null && (outcome === "win" ? one.pnl > 0 : one.pnl < 0))) &&
      (!exitReason || one.exitReason === exitReason),
  );
  const turn = order === "asc" ? 1 : -1;
  return kept.sort((a, b) => {
    const [x, y] = [value(a, sort), value(b, sort)];
    if (Number.isNaN(x) || Number.isNaN(y)) return Number(Number.isNaN(x)) - Number(Number.isNaN(y));
    return x === y ? 0 : (x - y) * turn;
  });
}

/** The trades of a file. */
export function fromFile({ trades, decisions }: ReportData): Source {
  const numbered = trades.map((one, at) => ({ ...one, index: one.index ?? at }));
  let last: { ask: string; rows: Trade[] } | null = null;
  return {
    page(ask, from, to) {
      const key = JSON.stringify(ask);
      if (last?.ask !== key) last = { ask: key, rows: chosen(numbered, ask) };
      return { items: last.rows.slice(from, to), total: last.rows.length };
    },
    ...(decisions?.length ? { decisions: async (from: number, to: number) => decisions.filter((one) => one.bar >= from && one.bar <= to) } : {}),
  };
}

/** The decision that opened a trade: the last one before it that said so, of the same strategy. */
export function opening(decisions: readonly Decision[], trade: Trade): Decision | undefined {
  const said = trade.direction === "long" ? "LONG" : "SHORT";
  return decisions.filter((one) => one.strategy === trade.strategy && one.bar <= trade.entryBar && one.action === said).at(-1);
}

const AROUND_LEAST = 15;
/** From when until when a trade's bars are shown: some before it and some after. */
export function around(trade: Trade, barMs: number): [number, number] {
  const room = Math.max(AROUND_LEAST, Math.round((trade.exitBar - trade.entryBar) * 0.4)) * barMs;
  return [Date.parse(trade.entryTime) - room, Date.parse(trade.exitTime) + room + barMs];
}

/** The candles from one time to before another; all without. */
export function candlesOf(columns: CandleColumns, [from, to] = [-Infinity, Infinity]): Candle[] {
  const names = Object.entries(columns.indicators ?? {});
  return columns.time.flatMap((text, at) => {
    const time = Date.parse(text);
    if (time < from || time >= to) return [];
    const candle: Candle = { time, open: columns.open[at]!, high: columns.high[at]!, low: columns.low[at]!, close: columns.close[at]!, volume: columns.volume[at]! };
    return names.length ? { ...candle, indicators: Object.fromEntries(names.map(([name, values]) => [name, values[at] ?? null])) } : candle;
  });
}

const UNIT_MS: Record<string, number> = { m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000, M: 2_592_000_000 };
/** `15m`, `1d`; a month is thirty days. */
export const intervalMs = (interval: string): number => Number.parseInt(interval, 10) * (UNIT_MS[interval.slice(-1)] ?? UNIT_MS["d"]!);

export interface TradeLevel {
  kind: "entry" | "stop" | "target";
  price: number;
}
/** Prices that mattered to a trade: its entry, and what was to end it as far as that can be told afterwards. */
export function levelsOf(trade: Trade, decision: Decision | null, config: Record<string, unknown>): TradeLevel[] {
  const side = trade.direction === "long" ? 1 : -1;
  const share = (name: string) => (config[name] as { percent?: number | null } | null | undefined)?.percent ?? null;
  const away = (percent: number | null, sign: number) => (percent === null ? null : trade.entryPrice * (1 + (sign * percent) / 100));
  const stop = decision?.decision.stopPrice ?? (config["useStopOrders"] === false ? null : away(share("stopLoss"), -side));
  const target = decision?.decision.targetPrice ?? (config["useTakeProfits"] === false ? null : away(share("takeProfit"), side));
  const found: [TradeLevel["kind"], number | null][] = [["entry", trade.entryPrice], ["stop", stop], ["target", target]];
  return found.flatMap(([kind, price]) => (price === null ? [] : [{ kind, price }]));
}

/** `?zoom=1700000000000-1710000000000` */
export function zoomOf(text: string | undefined): [number, number] | null {
  const found = /^(-?\d{1,15})-(-?\d{1,15})$/.exec(text ?? "");
  if (!found) return null;
  const [from, to] = [Number(found[1]), Number(found[2])];
  return from < to ? [from, to] : null;
}

export interface YearRow {
  name: string;
  values: (number | null)[];
  total: number | null;
}
/** Months in rows of years. */
export function byYear({ monthly, yearly }: Pick<Analysis, "monthly" | "yearly">): YearRow[] {
  const rows = new Map<number, YearRow>();
  for (const one of yearly) rows.set(one.year, { name: String(one.year), values: Array<null>(12).fill(null), total: one.return });
  for (const one of monthly) {
    const row = rows.get(one.year);
    if (row) row.values[one.month - 1] = one.return;
  }
  return [...rows.values()];
}

/** The first time at which nothing was left; null where something always was. */
export function ruinedAt({ time, equity }: Analysis["equity"]): number | null {
  const at = equity.findIndex((one) => one !== null && one <= 0);
  return at < 0 ? null : time[at]!;
}
