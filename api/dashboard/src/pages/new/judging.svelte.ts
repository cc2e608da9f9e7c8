// What is wrong with a request, as it is typed: what its shapes say at once, what the gateway says a moment later. An
// answer to what stands there no more is never heard.

import { type Answer, get, post, Problem, words } from "../../http";
import { type Agent, GROUPS, givenTo, paramsOf, PARTS, partOf, partsOfStrategy, type Strategy, strategiesOf } from "./request";
import { faults, type JsonObject, type Place } from "../../forms/schema";
import { msOf } from "./series";

export type Estimated = Answer<"/api/algo/backtest/estimate", "post">;

const PAUSE_MS = 300;
/** Longer, so that what is wrong with parameters is known by then: a request that is would only be refused. */
const ESTIMATE_PAUSE_MS = 650;

/** Runs a question some time after the last keystroke; whoever asks anew, or leaves, ends what is under way. */
function later(pause_ms: number, ask: (signal: AbortSignal) => Promise<void>): () => void {
  const stop = new AbortController();
  const timer = setTimeout(() => void ask(stop.signal), pause_ms);
  return () => {
    clearTimeout(timer);
    stop.abort();
  };
}

function rangeFaults(given: JsonObject): Record<string, string> {
  const [start, end] = [msOf(given["startDate"]), msOf(given["endDate"])];
  if (start === null) return { startDate: "must be a date" };
  if (end === null) return { endDate: "must be a date" };
  return start < end ? {} : { endDate: "must be after the first day" };
}

/** What can be said of what was given without asking, by path. */
export function faultsOf(given: JsonObject, known: Strategy[], agent: Agent | undefined): Record<string, string> {
  const found = rangeFaults(given);
  if (given["agentId"] === undefined && !strategiesOf(given).length) found["strategies"] = "Choose at least one.";
  for (const name of [...GROUPS.flatMap((group) => group.names), "agentVersion", "combine"]) {
    const value = given[name];
    if (value !== undefined && PARTS.has(name)) Object.assign(found, faults(partOf(name, given).shape, value, name));
  }
  const names = given["agentId"] === undefined ? strategiesOf(given) : ["ai_trader"];
  for (const strategy of known.filter((one) => names.includes(one.id))) {
    const params = givenTo(given, strategy.id);
    for (const part of partsOfStrategy(strategy, agent)) {
      const value = params[part.name];
      if (value !== undefined) Object.assign(found, faults(part.shape, value, `strategyParams.${strategy.id}.${part.name}`));
    }
  }
  return found;
}

/** A gateway's name for what was sent by another. */
const renamed = (text: string) => text.replaceAll("positionSizePercent", "positionSize");

interface Wrong {
  message: string;
  /** Of a text, where in it. */
  place: Place | undefined;
}

function wrongOf({ message, start, end, near }: Answer<"/api/algo/strategies/validate", "post">["errors"][number]): Wrong {
  return { message, place: typeof start === "number" ? { start, end: end ?? start, near: near ?? [] } : undefined };
}

export class Judging {
  estimated = $state.raw<Estimated | null>(null);
  /** What the gateway last refused, of the request as it stands or as it was sent. */
  refusal = $state.raw<Problem | null>(null);
  /** Why it was not judged. */
  unjudged = $state("");
  asking = $state(false);
  #validated = $state.raw<Record<string, Record<string, Wrong>>>({});

  /** Asks the gateway for what the request comes to, which judges all of it. `wrong` says whether it is known to be. */
  estimate(body: string, wrong: () => boolean): () => void {
    this.asking = true;
    return later(ESTIMATE_PAUSE_MS, async (signal) => {
      if (wrong()) return this.#take(null, null, "");
      try {
        const answer = await post("/api/algo/backtest/estimate", { body: JSON.parse(body) as unknown, signal });
        this.#take(answer, null, "");
      } catch (error) {
        if (signal.aborted) return;
        if (error instanceof Problem && error.errors.length) this.#take(null, error, "");
        else this.#take(null, null, words(error));
      }
    });
  }

  #take(estimated: Estimated | null, refusal: Problem | null, unjudged: string): void {
    this.estimated = estimated;
    this.refusal = refusal;
    this.unjudged = unjudged;
    this.asking = false;
  }

  refused(problem: Problem): void {
    this.#take(null, problem, problem.errors.length ? "" : problem.message);
  }

  /** Asks what is wrong with the parameters of one strategy alone: they are judged also where the rest is not right yet. */
  validate(strategy: Strategy, params: JsonObject): () => void {
    return later(PAUSE_MS, async (signal) => {
      try {
        const answer = await post("/api/algo/strategies/validate", { body: { strategy: strategy.id, params }, signal });
        const path = (field: string) => `strategyParams.${strategy.id}.${field.replace(/^params\.?/, "")}`.replace(/\.$/, "");
        const errors = answer.errors.map((one): [string, Wrong] => [path(one.field), wrongOf(one)]);
        if (!signal.aborted) this.#validated = { ...this.#validated, [strategy.id]: Object.fromEntries(errors) };
      } catch {
        // The estimate says so.
      }
    });
  }

  /** What is known to be wrong without the whole having been judged. */
  known(given: JsonObject, known: Strategy[], agent: Agent | undefined): Record<string, string> {
    const names = given["agentId"] === undefined ? strategiesOf(given) : [];
    const validated = names.flatMap((name) => Object.entries(this.#validated[name] ?? {})).map(([path, wrong]) => [path, wrong.message]);
    return { ...(Object.fromEntries(validated) as Record<string, string>), ...faultsOf(given, known, agent) };
  }

  place(path: string): Place | undefined {
    return this.#validated[path.split(".")[1] ?? ""]?.[path]?.place;
  }

  /** All that is wrong, by path; of what several say, the nearest is taken. */
  problems(given: JsonObject, known: Strategy[], agent: Agent | undefined): Record<string, string> {
    const refused = (this.refusal?.errors ?? []).map((one): [string, string] => [renamed(one.field), renamed(one.message)]);
    return { ...Object.fromEntries(refused), ...this.known(given, known, agent) };
  }
}

/** What has to be validated of each strategy, as one text that changes when it has to be asked anew. */
export function toValidate(given: JsonObject, known: Strategy[]): { strategy: Strategy; params: string }[] {
  if (given["agentId"] !== undefined) return [];
  return known
    .filter((one) => strategiesOf(given).includes(one.id))
    .map((strategy) => ({ strategy, params: JSON.stringify(paramsOf(strategy, givenTo(given, strategy.id))) }));
}

/** The backtest that is repeated. */
export const earlier = (id: string, signal: AbortSignal) => get("/api/algo/backtest/{backtest_id}", { path: { backtest_id: id }, signal });
