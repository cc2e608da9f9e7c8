// What a form has been told, as the request it comes to: only what is not as by default. And back, out of an earlier backtest.

import type { components } from "../../wire/openapi";
import schema from "../../wire/request.json";
import { type Json, type JsonObject, type Part, partsOf, plain, same, type Schema, sparse } from "../../forms/schema";

export type Strategy = components["schemas"]["StrategyDescription"];
export type Agent = components["schemas"]["Agent"];

export interface Group {
  id: string;
  title: string;
  /** What it is about, for who has not opened it. */
  about: string;
  names: string[];
}

// What stands elsewhere on the page, and `positionSizePercent`, the older name of positionSize.
export const ELSEWHERE = ["symbol", "interval", "startDate", "endDate", "agentId", "agentVersion", "combine", "weights", "positionSizePercent"];

export const GROUPS: Group[] = [
  {
    id: "money",
    title: "Money and size",
    about: "How much there is, how large a trade is, leverage, short trades",
    names: ["initialCapital", "positionSize", "sizing", "allowShort", "maxOpenTrades", "leverage", "maintenanceMargin"],
  },
  { id: "costs", title: "Costs", about: "Commission, slippage, spread, smallest steps of price and quantity", names: ["commission", "slippageBps", "spreadBps", "tickSize", "lotSize"] },
  { id: "exits", title: "Stops and targets", about: "Where a trade ends by itself", names: ["stopLoss", "takeProfit", "trailingStop", "atrPeriod", "useStopOrders", "useTakeProfits"] },
  {
    id: "execution",
    title: "How orders fill",
    about: "At which price, by whose rules, with which bars before the first",
    names: ["fillAt", "intrabar", "profile", "closeAtEnd", "warmupBars", "periodsPerYear", "seed", "checkCausality"],
  },
  { id: "running", title: "How it runs", about: "Priority, speed, how often it is shown", names: ["priority", "speed", "startPaused", "emitInterval", "emitEveryMs"] },
];

const LABELS: Record<string, string> = {
  positionSize: "Share of equity per trade",
  sizing: "Size of a trade",
  allowShort: "Short trades",
  atrPeriod: "Bars of the average true range",
  commission: "Commission",
  fillAt: "Orders fill at",
  intrabar: "Stop and target in one bar",
  profile: "Rules of",
  closeAtEnd: "Close open trades at the end",
  warmupBars: "Bars before the first",
  periodsPerYear: "Days of a year",
  checkCausality: "Check that it does not see the future",
  emitInterval: "Bars between two updates",
  emitEveryMs: "Least time between two updates (ms)",
  startPaused: "Wait before the first bar",
  useStopOrders: "Use stops",
  useTakeProfits: "Use targets",
  speed: "Speed",
};

/** In words for who has written no strategy. */
const HELP: Record<string, string> = { allowShort: "A sell signal opens a short trade; otherwise it only closes what is long." };
/** What comes first of a group: schemas have their names by the alphabet. */
const FIRST = ["rate"];
const byUse = (a: Part, b: Part) => Number(FIRST.includes(b.name)) - Number(FIRST.includes(a.name));
const sorted = (part: Part): Part => (part.shape.kind === "group" ? { ...part, shape: { ...part.shape, parts: part.shape.parts.toSorted(byUse) } } : part);

/** Every field of a request but the strategies, as its OpenAPI schema has it. */
export const PARTS: ReadonlyMap<string, Part> = new Map(
  partsOf(schema as unknown as Schema).map((part) => [part.name, sorted({ ...part, label: LABELS[part.name] ?? part.label, help: HELP[part.name] ?? part.help })]),
);

/** What a profile does where it is not told otherwise; see its description. */
const FILLS_AT_CLOSE = "vectorbt";

/** A part of the request by name, with the default that it has beside the other fields. */
export function partOf(name: string, request: JsonObject = {}): Part {
  const part = PARTS.get(name);
  if (!part) throw new Error(`a request has no field ${name}`);
  return name === "fillAt" && request["profile"] === FILLS_AT_CLOSE ? { ...part, default: "close" } : part;
}

export const strategiesOf = (request: JsonObject): string[] => (Array.isArray(request["strategies"]) ? (request["strategies"] as string[]) : []);

/** Parameters of one strategy as they were given. */
export function givenTo(request: JsonObject, strategy: string): JsonObject {
  const all = request["strategyParams"];
  const given = plain(all) ? all[strategy] : undefined;
  return plain(given) ? given : {};
}

/** The strategy that an agent is. */
export const AGENT_STRATEGY = "ai_trader";

/** The agent's own values, which stand in the place of the strategy's defaults. */
export function defaultsOf(agent: Agent): JsonObject {
  const named: Record<string, Json | undefined> = {
    provider: agent.provider,
    model: agent.model,
    prompt: agent.prompt,
    indicators: agent.indicators,
    every: agent.decisionInterval,
    safetyMode: agent.safetyMode,
    stopLossPercent: agent.stopLossPercent,
    maxPositionFraction: agent.maxPositionFraction,
    maxDailyLossPercent: agent.maxDailyLossPercent,
    minConfidence: agent.minConfidence,
  };
  const own = Object.entries(named).filter((one): one is [string, Json] => one[1] !== null && one[1] !== undefined);
  return { ...(agent.parameters as JsonObject), ...Object.fromEntries(own) };
}

export function partsOfStrategy(strategy: Strategy, agent?: Agent | undefined): Part[] {
  const own = agent ? defaultsOf(agent) : {};
  return partsOf(strategy.parametersSchema as Schema, undefined, { ...(strategy.defaultParameters as JsonObject), ...own });
}

/** What has to be sent of a strategy's parameters. */
export function paramsOf(strategy: Strategy, given: JsonObject, agent?: Agent | undefined): JsonObject {
  const parts = partsOfStrategy(strategy, agent);
  if (!strategy.language) return sparse(parts, given) ?? {};
  // Of a rule of which something is given, what is left out never holds: its defaults are an example for none at all.
  if (!sparse(parts, given)) return {};
  const full = parts.map((part): [string, Json] => [part.name, given[part.name] ?? part.default ?? ""]);
  const said = full.filter(([, text]) => text !== "");
  return Object.fromEntries(said.length ? said : full.slice(0, 1));
}

/** What is sent. `known` are the strategies there are; without one, its parameters are sent as they were given. */
export function requestOf(given: JsonObject, known: Strategy[], agents: Agent[] = []): JsonObject {
  const request: JsonObject = {};
  const names = strategiesOf(given);
  const agentId = given["agentId"];
  for (const name of ["symbol", "interval", "startDate", "endDate"]) if (given[name] !== undefined) request[name] = given[name]!;
  if (agentId !== undefined) {
    request["agentId"] = agentId;
    if (given["agentVersion"] !== undefined && given["agentVersion"] !== null) request["agentVersion"] = given["agentVersion"];
  } else request["strategies"] = names;
  const agent = agents.find((one) => one.agentId === agentId);
  const params = (agentId === undefined ? names : [AGENT_STRATEGY]).flatMap((name): [string, JsonObject][] => {
    const strategy = known.find((one) => one.id === name);
    const said = strategy ? paramsOf(strategy, givenTo(given, name), agent) : givenTo(given, name);
    return Object.keys(said).length ? [[name, said]] : [];
  });
  if (params.length) request["strategyParams"] = Object.fromEntries(params);
  if (agentId === undefined && names.length > 1) {
    if (given["combine"] !== undefined && given["combine"] !== partOf("combine").default) request["combine"] = given["combine"];
    if (given["combine"] === "weighted") request["weights"] = weightsOf(given);
  }
  const others = GROUPS.flatMap((group) => group.names).filter((name) => given[name] !== undefined);
  const parts = others.map((name) => partOf(name, given));
  Object.assign(request, sparse(parts, Object.fromEntries(others.map((name) => [name, given[name]!]))));
  return request;
}

/** Every strategy has one, 1 where none was given. */
export function weightsOf(given: JsonObject): JsonObject {
  const weights = plain(given["weights"]) ? given["weights"] : {};
  return Object.fromEntries(strategiesOf(given).map((name) => [name, weights[name] ?? 1]));
}

/** Which fields of a group are not as by default. */
export function changedIn(group: Group, given: JsonObject): string[] {
  return group.names.filter((name) => given[name] !== undefined && sparse([partOf(name, given)], { [name]: given[name]! }));
}

/** What a form is told by an earlier backtest, whose record has all defaults in it and maybe other names of strategies. */
export function givenBy(params: JsonObject, priority: number, known: Strategy[]): JsonObject {
  const idOf = (name: string) => known.find((one) => one.id === name || one.aliases.includes(name))?.id ?? name;
  const byId = (of: Json | undefined) => (plain(of) ? Object.fromEntries(Object.entries(of).map(([name, value]) => [idOf(name), value])) : {});
  const given: JsonObject = { ...params, priority, strategies: strategiesOf(params).map(idOf), strategyParams: byId(params["strategyParams"]), weights: byId(params["weights"]) };
  if (given["positionSizePercent"] !== undefined) given["positionSize"] = given["positionSizePercent"];
  for (const name of ["positionSizePercent", "startPaused"]) delete given[name];
  for (const name of ["agentId", "agentVersion"]) if (given[name] === null) delete given[name];
  if (given["agentId"] !== undefined) given["strategies"] = [];
  for (const [name, value] of Object.entries(given)) {
    const part = PARTS.get(name);
    if (part && part.default !== undefined && same(partOf(name, params).default, value)) delete given[name];
  }
  return given;
}
