import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Draft } from "./draft.svelte";
import { Judging } from "./judging.svelte";
import type { Strategy } from "./request";
import fixture from "../../forms/strategies.fixture.json";

const known = fixture as unknown as Strategy[];
const rule = known.find((one) => one.id === "rule")!;
const GIVEN = { startDate: "2000-01-01", endDate: "2001-01-01", strategies: ["rule"] };

/** Questions under way, each answered when a test says so; an aborted one fails as fetch does. */
let asked: { url: string; body: unknown; answer: (value: unknown, status?: number) => void }[] = [];
beforeEach(() => {
  asked = [];
  vi.useFakeTimers();
  vi.stubGlobal(
    "fetch",
    (url: URL, ask: RequestInit) =>
      new Promise((done, fail) => {
        ask.signal?.addEventListener("abort", () => fail(new DOMException("aborted", "AbortError")));
        asked.push({ url: url.pathname, body: JSON.parse(String(ask.body)) as unknown, answer: (value, status = 200) => done(Response.json(value, { status })) });
      }),
  );
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});
const settle = () => vi.advanceTimersByTimeAsync(1000);
const ok = { asks: 0, bars: 5 };

describe("what stands there no more", () => {
  it("is not asked about while one types", async () => {
    const judging = new Judging();
    judging.estimate('{"a":1}', () => false)();
    const end = judging.estimate('{"a":2}', () => false);
    await settle();
    expect(asked.map((one) => one.body)).toEqual([{ a: 2 }]);
    end();
  });

  it("has an answer that nobody hears", async () => {
    const judging = new Judging();
    const end = judging.estimate('{"a":1}', () => false);
    await settle();
    end();
    judging.estimate('{"a":2}', () => false);
    await settle();
    asked[1]!.answer({ ...ok, bars: 2 });
    await settle();
    asked[0]!.answer({ ...ok, bars: 1 });
    await settle();
    expect(judging.estimated?.bars).toBe(2);
    expect(judging.unjudged).toBe("");
  });

  it("has parameters whose mistakes nobody hears", async () => {
    const judging = new Judging();
    const end = judging.validate(rule, { long: "clos" });
    await settle();
    end();
    judging.validate(rule, { long: "close > 1" });
    await settle();
    asked[1]!.answer({ valid: true, errors: [] });
    asked[0]!.answer({ valid: false, errors: [{ field: "params.long", message: "old", code: "x" }] });
    await settle();
    expect(judging.problems(GIVEN, known, undefined)).toEqual({});
  });
});

it("what is known to be wrong is not sent to be estimated", async () => {
  const judging = new Judging();
  judging.estimate("{}", () => true);
  await settle();
  expect(asked).toEqual([]);
  expect(judging.asking).toBe(false);
});

it("a refusal stands at its fields, by the names that this page has for them", async () => {
  const judging = new Judging();
  judging.estimate("{}", () => false);
  await settle();
  asked[0]!.answer({ detail: "no", errors: [{ field: "positionSizePercent", message: "positionSizePercent must be at most leverage", code: "x" }] }, 422);
  await settle();
  expect(judging.problems(GIVEN, known, undefined)).toEqual({ positionSize: "positionSize must be at most leverage" });
  expect(judging.estimated).toBeNull();
});

it("a gateway that is away is said, and is no field's fault", async () => {
  const judging = new Judging();
  judging.estimate("{}", () => false);
  await settle();
  asked[0]!.answer({ detail: "MongoDB does not answer" }, 503);
  await settle();
  expect(judging.unjudged).toBe("MongoDB does not answer");
  expect(judging.problems(GIVEN, known, undefined)).toEqual({});
});

it("a mistake in a text has its place, where the gateway tells it", async () => {
  const judging = new Judging();
  judging.validate(rule, { long: "smaa(close, 3) > 1", exit: "x" });
  await settle();
  asked[0]!.answer({ valid: false, errors: [{ field: "params.long", message: "no", code: "x", start: 0, end: 4, near: ["sma"] }, { field: "params.exit", message: "at character 1: no", code: "x" }] });
  await settle();
  expect(judging.problems(GIVEN, known, undefined)).toEqual({ "strategyParams.rule.long": "no", "strategyParams.rule.exit": "at character 1: no" });
  expect(judging.place("strategyParams.rule.long")).toEqual({ start: 0, end: 4, near: ["sma"] });
  expect(judging.place("strategyParams.rule.exit")).toBeUndefined();
});

describe("a draft", () => {
  beforeEach(() => sessionStorage.clear());
  const kept = () => {
    const draft = new Draft();
    draft.begin("bt_1");
    draft.set(["commission", "rate"], 0.001);
    draft.keep("ann");
    return new Draft();
  };
  it("is there again after a reload, for the same link or none", () => {
    const draft = kept();
    expect(draft.restore("ann", "bt_1")).toBe(true);
    expect(draft.given).toEqual({ commission: { rate: 0.001 } });
    expect(kept().restore("ann", "")).toBe(true);
  });
  it("is nobody else's, and no other link's", () => {
    expect(kept().restore("bob", "bt_1")).toBe(false);
    expect(kept().restore("ann", "bt_2")).toBe(false);
  });
  it("that cannot be read is none", () => {
    for (const text of ["", "{", "[]", "null", '{"given":5}']) {
      sessionStorage.setItem("backfleet.new", text);
      expect(new Draft().restore("ann", "")).toBe(false);
    }
  });
});
