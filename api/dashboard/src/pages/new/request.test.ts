import { describe, expect, it } from "vitest";
import schema from "../../wire/request.json";
import { faultsOf, toValidate } from "./judging.svelte";
import { type Agent, changedIn, defaultsOf, ELSEWHERE, givenBy, GROUPS, partOf, PARTS, partsOfStrategy, requestOf, type Strategy } from "./request";
import type { JsonObject } from "../../forms/schema";
import fixture from "../../forms/strategies.fixture.json";

const known = fixture as unknown as Strategy[];
const BASE: JsonObject = { symbol: "AAPL", interval: "1d", startDate: "2000-03-01", endDate: "2013-03-01", strategies: ["sma_crossover"] };
const of = (given: JsonObject) => requestOf({ ...BASE, ...given }, known);

it("every field of a request stands somewhere on the page, once", () => {
  const named = [...GROUPS.flatMap((group) => group.names), ...ELSEWHERE];
  expect([...named].sort()).toEqual(Object.keys(schema.properties).sort());
  expect(named.length).toBe(PARTS.size);
});

describe("a request", () => {
  it("has only what is not as by default", () => {
    expect(of({})).toEqual(BASE);
    expect(of({ initialCapital: 10_000, commission: { rate: 0 }, combine: "any", speed: "max", allowShort: false })).toEqual(BASE);
    expect(of({ initialCapital: 5000, commission: { rate: 0.001 }, stopLoss: { percent: 2 } })).toEqual({ ...BASE, initialCapital: 5000, commission: { rate: 0.001 }, stopLoss: { percent: 2 } });
    expect(of({ strategyParams: { sma_crossover: { fast: 10, slow: 40 }, rsi: { period: 3 } } })).toEqual({ ...BASE, strategyParams: { sma_crossover: { slow: 40 } } });
  });

  it("is for profile vectorbt at the close, unless it says open", () => {
    expect(partOf("fillAt", { profile: "vectorbt" }).default).toBe("close");
    expect(of({ profile: "vectorbt", fillAt: "close" })).toEqual({ ...BASE, profile: "vectorbt" });
    expect(of({ profile: "vectorbt", fillAt: "open" })).toEqual({ ...BASE, profile: "vectorbt", fillAt: "open" });
  });

  it("combines only several, and weighs every one of them", () => {
    expect(of({ combine: "all" })).toEqual(BASE);
    const two = { strategies: ["sma_crossover", "rsi"] };
    expect(of({ ...two, combine: "all", weights: { rsi: 2 } })).toEqual({ ...BASE, ...two, combine: "all" });
    expect(of({ ...two, combine: "weighted", weights: { rsi: 2, macd: 5 } })).toEqual({ ...BASE, ...two, combine: "weighted", weights: { sma_crossover: 1, rsi: 2 } });
  });

  it("says all of a rule of which it says something: what is left out never holds", () => {
    const rule = (params: JsonObject) => of({ strategies: ["rule"], strategyParams: { rule: params } })["strategyParams"];
    const [long, short] = ["crosses_above(sma(close, 10), sma(close, 30))", "crosses_below(sma(close, 10), sma(close, 30))"];
    expect(rule({})).toBeUndefined();
    expect(rule({ long, short, exit: "" })).toBeUndefined();
    expect(rule({ long: "close > open" })).toEqual({ rule: { long: "close > open", short } });
    expect(rule({ short: "" })).toEqual({ rule: { long } });
    // Not {}: that would be the example.
    expect(rule({ long: "", short: "", exit: "" })).toEqual({ rule: { long: "" } });
  });

  it("names an agent in place of strategies, with what differs from the agent", () => {
    const agent = { agentId: "ag_1", model: "m", every: 1, decisionInterval: 5, prompt: null, parameters: { lookbackBars: 20 } } as unknown as Agent;
    expect(defaultsOf(agent)).toEqual({ model: "m", every: 5, lookbackBars: 20 });
    const given = { ...BASE, agentId: "ag_1", combine: "all", strategyParams: { ai_trader: { model: "m", every: 1, lookbackBars: 20 }, sma_crossover: { fast: 3 } } };
    const { strategies: _, ...rest } = BASE;
    expect(requestOf(given, known, [agent])).toEqual({ ...rest, agentId: "ag_1", strategyParams: { ai_trader: { every: 1 } } });
  });

  it("of a strategy that is not there keeps what was given", () => {
    expect(of({ strategies: ["mine"], strategyParams: { mine: { a: 1 } } })).toEqual({ ...BASE, strategies: ["mine"], strategyParams: { mine: { a: 1 } } });
  });
});

it("an earlier backtest comes back as what it differed in", () => {
  const params = {
    ...BASE,
    strategies: ["sma", "zscore"],
    strategyParams: { sma: { fast: 20 } },
    weights: { sma: 2, zscore: 1 },
    combine: "weighted",
    initialCapital: 10_000,
    positionSizePercent: 0.5,
    commission: { rate: 0.001, fixed: 0, minimum: 0 },
    profile: "vectorbt",
    fillAt: "close",
    speed: "max",
    startPaused: true,
  };
  const given = givenBy(params, 2, known);
  expect(given).not.toHaveProperty("positionSizePercent");
  expect(requestOf(given, known)).toEqual({
    ...BASE,
    strategies: ["sma_crossover", "mean_reversion"],
    strategyParams: { sma_crossover: { fast: 20 } },
    combine: "weighted",
    weights: { sma_crossover: 2, mean_reversion: 1 },
    positionSize: 0.5,
    commission: { rate: 0.001 },
    profile: "vectorbt",
    priority: 2,
  });
  expect(GROUPS.map((group) => changedIn(group, given).length)).toEqual([1, 1, 0, 1, 1]);
});

it("of an agent's backtest the agent comes back, and no strategies", () => {
  const given = givenBy({ ...BASE, strategies: ["ai_trader"], agentId: "ag_1", agentVersion: null }, 0, known);
  expect(requestOf(given, known)).not.toHaveProperty("strategies");
  expect(requestOf(given, known)).toMatchObject({ agentId: "ag_1" });
});

it("what shapes say stands at the paths that a gateway names", () => {
  const given = { ...BASE, initialCapital: -5, stopLoss: { percent: "two" }, strategyParams: { sma_crossover: { fast: 0 }, rsi: { period: 0 } } };
  expect(faultsOf(given, known, undefined)).toEqual({
    initialCapital: "must be above 0",
    "stopLoss.percent": "must be a number, with a point for decimals and without commas",
    "strategyParams.sma_crossover.fast": "must be at least 1",
  });
});

it("a range that ends before it begins, and nobody who trades, are said without asking", () => {
  expect(faultsOf({ ...BASE, endDate: "1999-01-01" }, known, undefined)).toEqual({ endDate: "must be after the first day" });
  expect(faultsOf({ ...BASE, startDate: "soon" }, known, undefined)).toEqual({ startDate: "must be a date" });
  expect(faultsOf({ ...BASE, strategies: [] }, known, undefined)).toEqual({ strategies: "Choose at least one." });
  expect(faultsOf({ ...BASE, strategies: [], agentId: "ag_1" }, known, undefined)).toEqual({});
});

it("is validated with what would be sent", () => {
  const asked = toValidate({ ...BASE, strategies: ["sma_crossover", "rule"], strategyParams: { rule: { short: "" } } }, known);
  expect(asked.map((one) => [one.strategy.id, JSON.parse(one.params)])).toEqual([
    ["sma_crossover", {}],
    ["rule", { long: "crosses_above(sma(close, 10), sma(close, 30))" }],
  ]);
  expect(toValidate({ ...BASE, agentId: "ag_1" }, known)).toEqual([]);
});

it("describes each strategy's parameters", () => {
  for (const one of known) expect(partsOfStrategy(one).every((part) => part.help)).toBe(true);
});
