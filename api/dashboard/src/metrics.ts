// What every figure of a result is: its name for people, its unit, whether more of it is better, and what it means. The
// words and the formulas are those of docs/metrics.md; a test keeps the names complete.

import { count, number, signed } from "./format";

export type Unit = "percent" | "money" | "ratio" | "count" | "days" | "times";
export type Group = "return" | "risk" | "trades" | "costs" | "time";

export interface Metric {
  title: string;
  unit: Unit;
  group: Group;
  /** What of two runs is better; null where neither is by itself. */
  better: "higher" | "lower" | null;
  /** Good above zero and bad below: shown with a sign and in colour. */
  gain?: boolean;
  means: string;
}

export const GROUPS: Record<Group, string> = { return: "Return", risk: "Risk", trades: "Trades", costs: "Costs", time: "Time" };

export const METRICS: Record<string, Metric> = {
  totalReturn: { title: "Total return", unit: "percent", group: "return", better: "higher", gain: true, means: "Equity at the last bar / initial capital − 1." },
  buyAndHoldReturn: { title: "Buy and hold", unit: "percent", group: "return", better: null, gain: true, means: "What the symbol itself did: last close / first close − 1." },
  cagr: { title: "Growth a year", unit: "percent", group: "return", better: "higher", gain: true, means: "Compound annual growth: (final / initial) ^ (1 / years) − 1, with years of calendar time. Undefined when nothing is left, and within one bar." },
  alpha: { title: "Alpha a year", unit: "percent", group: "return", better: "higher", gain: true, means: "Return that the symbol's own moves do not explain: (mean return − beta × mean return of the close) × periods per year; the riskless rate is zero." },
  finalEquity: { title: "Equity at the end", unit: "money", group: "return", better: "higher", means: "Cash and open trades at the last bar." },
  expectancy: { title: "Mean profit of a trade", unit: "money", group: "return", better: "higher", gain: true, means: "Mean profit or loss of closed trades after fees. Undefined without a trade." },

  maxDrawdown: { title: "Largest drawdown", unit: "percent", group: "risk", better: "higher", means: "Deepest fall of equity below its highest point so far, zero or below; judged at every bar." },
  averageDrawdown: { title: "Average drawdown", unit: "percent", group: "risk", better: "higher", means: "Mean, over all spells below the highest point so far, of the deepest fall in each; zero or below." },
  volatility: { title: "Volatility a year", unit: "percent", group: "risk", better: "lower", means: "How much returns vary: sample standard deviation × √(periods per year)." },
  sharpeRatio: { title: "Sharpe ratio", unit: "ratio", group: "risk", better: "higher", means: "Return for the risk taken: mean return / standard deviation × √(periods per year); the riskless rate is zero. Undefined when returns do not vary." },
  sortinoRatio: { title: "Sortino ratio", unit: "ratio", group: "risk", better: "higher", means: "As the Sharpe ratio, but only falls count as risk: mean return / √(mean of min(return, 0)²) × √(periods per year). Undefined when no return is below zero." },
  calmarRatio: { title: "Calmar ratio", unit: "ratio", group: "risk", better: "higher", means: "Growth a year / largest drawdown. Undefined without a drawdown." },
  beta: { title: "Beta", unit: "ratio", group: "risk", better: null, means: "How far equity moves with the symbol: covariance of their returns / variance of the symbol's. 1 moves alike, 0 does not. Undefined when the close does not vary." },
  kelly: { title: "Kelly share", unit: "percent", group: "risk", better: "higher", means: "Share of equity that Kelly's formula would stake on each trade: share won − share lost / (mean profit / mean loss). Undefined without both." },

  totalTrades: { title: "Trades", unit: "count", group: "trades", better: null, means: "Closed trades." },
  winningTrades: { title: "Trades won", unit: "count", group: "trades", better: null, means: "Closed trades with a profit after fees." },
  losingTrades: { title: "Trades lost", unit: "count", group: "trades", better: null, means: "Closed trades with a loss after fees." },
  winRate: { title: "Won", unit: "percent", group: "trades", better: "higher", means: "Trades with a profit / all closed trades. Undefined without a trade." },
  profitFactor: { title: "Profit factor", unit: "ratio", group: "trades", better: "higher", means: "Sum of profits / sum of losses over closed trades: above 1 they gained. Undefined without a loss." },
  averageTrade: { title: "Mean return of a trade", unit: "percent", group: "trades", better: "higher", gain: true, means: "Mean of profit after fees / entry value over closed trades. Undefined without a trade." },
  bestTrade: { title: "Best trade", unit: "percent", group: "trades", better: "higher", gain: true, means: "Largest profit after fees / entry value. Undefined without a trade." },
  worstTrade: { title: "Worst trade", unit: "percent", group: "trades", better: "higher", gain: true, means: "Smallest profit after fees / entry value. Undefined without a trade." },
  maxConsecutiveLosses: { title: "Most losses in a row", unit: "count", group: "trades", better: "lower", means: "Most trades in a row, in the order they closed, that each lost money." },
  sqn: { title: "System quality number", unit: "ratio", group: "trades", better: "higher", means: "How sure the mean profit is: √(trades) × mean profit / its sample standard deviation. Undefined with fewer than two trades or when they do not vary." },
  openTrades: { title: "Trades left open", unit: "count", group: "trades", better: null, means: "Trades that were open at the last bar, valued at its close. They are in the equity, not among the closed trades." },
  ambiguousBars: { title: "Ambiguous bars", unit: "count", group: "trades", better: "lower", means: "Bars in which one trade reached both its target and its stop or liquidation: what came first is not in the data, and the run assumed one." },
  unfilledOrders: { title: "Orders not filled", unit: "count", group: "trades", better: "lower", means: "Orders that found no money, no whole lot or no true range to measure a level with." },

  totalFees: { title: "Fees paid", unit: "money", group: "costs", better: "lower", means: "Sum of the fees of all fills." },
  turnover: { title: "Turnover a year", unit: "times", group: "costs", better: "lower", means: "How often equity was traded in a year: value of all entries and exits / 2 / mean equity / years. Undefined where mean equity is not above zero." },

  exposure: { title: "Time in a trade", unit: "percent", group: "time", better: null, means: "Bars during which a trade was open / all bars." },
  averageHolding: { title: "Mean time of a trade", unit: "days", group: "time", better: null, means: "Mean time from entry bar to exit bar, both by the time they open. Undefined without a trade." },
  maxDrawdownDuration: { title: "Longest drawdown", unit: "days", group: "time", better: "lower", means: "Longest time from a highest point of equity until it is reached again, or until the last bar." },
  periodsPerYear: { title: "Periods a year", unit: "ratio", group: "time", better: null, means: "Periods that make a year in annualised figures: what the request says, or as many as were seen." },
};

/** A figure that this page does not know yet, from a newer gateway, goes by its own name. */
export function metric(name: string): Metric {
  return METRICS[name] ?? { title: name, unit: "ratio", group: "trades", better: null, means: "See docs/metrics.md." };
}

export const UNDEFINED = "undefined";

/** As people read it, thinned: `1,042.59 %`, `17`, `1,543 days`. */
export function figure(name: string, value: unknown): string {
  if (typeof value !== "number" || !Number.isFinite(value)) return UNDEFINED;
  const { unit, gain } = metric(name);
  if (Math.abs(value) >= 1e13) return `${value < 0 ? "−" : ""}${Math.abs(value).toExponential(2)}${unit === "percent" ? " %" : ""}`;
  // What is small is not nothing, and nothing has no sign.
  const two = value !== 0 && Math.abs(value) < 0.095 ? 4 : 2;
  const plain = (digits: number) => number(value, digits).replace(/^-(?!0*\.?0*$)/, "−").replace("-", "");
  switch (unit) {
    case "percent":
      return `${gain ? signed(value, two) : plain(two)} %`;
    case "money":
      return gain ? signed(value, two) : plain(two);
    case "count":
      return count(value);
    case "days":
      return `${plain(Number.isInteger(value) || value >= 100 ? 0 : value < 10 ? 2 : 1)} ${value === 1 ? "day" : "days"}`;
    case "times":
      return `${plain(2)} times`;
    default:
      return plain(two);
  }
}

/** All of its digits, for hovering. */
export function exact(name: string, value: unknown): string {
  if (typeof value !== "number") return "It cannot be computed from this run.";
  const unit = { percent: " %", money: "", ratio: "", count: "", days: " days", times: " times a year" }[metric(name).unit];
  return `${value}${unit}`;
}

export type Tone = "good" | "bad" | undefined;
export const tone = (value: unknown): Tone => (typeof value !== "number" || value === 0 ? undefined : value > 0 ? "good" : "bad");
