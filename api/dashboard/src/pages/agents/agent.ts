// An agent as its form has it: what it says itself, under the paths by which refusals name it.

import type { components } from "../../wire/openapi";
import { partsOf, plain, type Json, type JsonObject, type Part, type Schema } from "../../forms/schema";

export type Agent = components["schemas"]["Agent"];

/** Fields of an agent, and what each is called among the parameters of the strategy that it is. */
const STRATEGY_NAMES: Record<string, string> = {
  provider: "provider",
  model: "model",
  prompt: "prompt",
  indicators: "indicators",
  decisionInterval: "every",
  safetyMode: "safetyMode",
  stopLossPercent: "stopLossPercent",
  maxPositionFraction: "maxPositionFraction",
  maxDailyLossPercent: "maxDailyLossPercent",
  minConfidence: "minConfidence",
};
const FIELDS = Object.keys(STRATEGY_NAMES) as (keyof Agent & string)[];
const SAFETY = new Set(["safetyMode", "stopLossPercent", "maxPositionFraction", "maxDailyLossPercent", "minConfidence"]);
const MODEL = new Set(["baseUrl", "temperature", "maxTokens", "seed", "knowledgeCutoff"]);

export interface AgentPart {
  part: Part;
  path: string[];
}
export interface AgentParts {
  provider: Part | undefined;
  model: Part | undefined;
  prompt: Part | undefined;
  trading: AgentPart[];
  safety: AgentPart[];
  asking: AgentPart[];
}

/** The parts of the form out of the strategy's schema; a parameter of a newer gateway is among `trading`. */
export function agentParts(schema: Schema, defaults: JsonObject): AgentParts {
  const field = new Map(Object.entries(STRATEGY_NAMES).map(([ours, theirs]) => [theirs, ours]));
  const parts: AgentParts = { provider: undefined, model: undefined, prompt: undefined, trading: [], safety: [], asking: [] };
  for (const part of partsOf(schema, schema, defaults)) {
    const name = field.get(part.name);
    if (name === "provider" || name === "model" || name === "prompt") {
      parts[name] = part;
      continue;
    }
    const one: AgentPart = { part: name === "decisionInterval" ? { ...part, label: "Bars between decisions" } : part, path: name ? [name] : ["parameters", part.name] };
    parts[SAFETY.has(name ?? "") ? "safety" : MODEL.has(part.name) ? "asking" : "trading"].push(one);
  }
  return parts;
}

/** What an agent says; what it leaves out stays out. */
export function givenOf(agent: Agent): JsonObject {
  const own = FIELDS.flatMap((name): [string, Json][] => (agent[name] === null || agent[name] === undefined ? [] : [[name, agent[name] as Json]]));
  const parameters = agent.parameters as JsonObject;
  return { name: agent.name, ...Object.fromEntries(own), ...(Object.keys(parameters).length ? { parameters } : {}) };
}

/** The body that is sent: without parameters that are none. */
export function bodyOf(given: JsonObject): JsonObject {
  const { parameters, ...own } = given;
  const kept = plain(parameters) ? Object.fromEntries(Object.entries(parameters).filter(([, value]) => value !== undefined)) : {};
  return { name: "", model: "", prompt: "", ...own, ...(Object.keys(kept).length ? { parameters: kept } : {}) };
}
