import { describe, expect, test } from "vitest";
import strategies from "../../forms/strategies.fixture.json";
import type { JsonObject, Schema } from "../../forms/schema";
import { agentParts, bodyOf, givenOf, type Agent } from "./agent";
import { diffLines } from "./lines";

const AGENT = {
  agentId: "ag_1", name: "Momentum", version: 2, lastVersion: 2, model: "vendor/model", prompt: "Trade.", provider: null, indicators: null,
  decisionInterval: 4, safetyMode: false, stopLossPercent: null, maxPositionFraction: null, maxDailyLossPercent: null, minConfidence: 0,
  parameters: { lookbackBars: 100 }, createdAt: "", updatedAt: "",
} as unknown as Agent;

test("every parameter of the strategy has a place in the form, under the path that refusals name", () => {
  const list = strategies as unknown as { id: string; parametersSchema: Schema; defaultParameters: JsonObject }[];
  const trader = list.find((one) => one.id === "ai_trader")!;
  const parts = agentParts(trader.parametersSchema, trader.defaultParameters);
  const all = [...parts.trading, ...parts.safety, ...parts.asking];
  expect(all.length + 3).toBe(Object.keys(trader.parametersSchema.properties ?? {}).length);
  expect([parts.provider?.name, parts.model?.name, parts.prompt?.name]).toEqual(["provider", "model", "prompt"]);
  expect(all.map((one) => one.path.join("."))).toEqual(expect.arrayContaining(["decisionInterval", "indicators", "minConfidence", "parameters.lookbackBars", "parameters.temperature"]));
  expect(parts.safety.map((one) => one.path[0])).toEqual(["safetyMode", "stopLossPercent", "maxPositionFraction", "maxDailyLossPercent", "minConfidence"]);
});

test("what an agent says is what is sent again: false and 0 are something, null is left out", () => {
  const given = givenOf(AGENT);
  expect(given).toEqual({ name: "Momentum", model: "vendor/model", prompt: "Trade.", decisionInterval: 4, safetyMode: false, minConfidence: 0, parameters: { lookbackBars: 100 } });
  expect(bodyOf(given)).toEqual(given);
  expect(bodyOf({ name: "A", parameters: {} })).toEqual({ name: "A", model: "", prompt: "" });
});

describe("lines", () => {
  const told = (before: string, after: string) => diffLines(before, after).map(({ kind, text }) => `${{ same: " ", out: "-", in: "+" }[kind]}${text}`);

  test.each([
    ["a\nb\nc", "a\nb\nc", [" a", " b", " c"]],
    ["a\nb\nc", "a\nx\nc", [" a", "-b", "+x", " c"]],
    ["a\nb", "a\nnew\nb\nend", [" a", "+new", " b", "+end"]],
    ["a\nb\nc\nd", "b\nd\ne", ["-a", " b", "-c", " d", "+e"]],
    ["", "a", ["-", "+a"]],
  ])("%j to %j", (before, after, lines) => expect(told(before, after)).toEqual(lines));

  test("long ones end", () => {
    const [before, after] = [0, 1].map((by) => Array.from({ length: 10_000 }, (_, at) => `${at} ${by}`).join("\n"));
    expect(diffLines(before!, after!).length).toBe(20_000);
  });
});
