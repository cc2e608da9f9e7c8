// @vitest-environment node

import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { blank, boundsText, faults, type Json, type JsonObject, labelOf, numberOf, optionOf, type Part, partsOf, plain, same, type Schema, type Shape, shapeOf, sparse, stepOf, valueAt, withAt } from "./schema";
import strategies from "./strategies.fixture.json";

const openapi = JSON.parse(readFileSync(new URL("../../../../docs/contract/openapi.json", `file://${__filename}`), "utf8")) as Schema & { components: { schemas: Record<string, Schema> } };
const schemas = openapi.components.schemas;
const served = Object.entries(schemas).filter(([name]) => name.startsWith("ParametersOf_") || ["BacktestRequest", "Level", "Sizing", "Commission", "AgentRequest"].includes(name));

/** Every shape below one, itself among them. */
function all(shape: Shape): Shape[] {
  if (shape.kind === "group") return [shape, ...shape.parts.flatMap((part) => all(part.shape))];
  if (shape.kind === "list") return [shape, ...all(shape.item)];
  if (shape.kind === "optional") return [shape, ...all(shape.of)];
  if (shape.kind === "either") return [shape, ...shape.of.flatMap(all)];
  return [shape];
}

describe("every schema that a gateway serves", () => {
  it.each(served)("%s is a form of which each part has a shape that can be drawn", (name, schema) => {
    const parts = partsOf(schema, openapi);
    expect(parts.map((part) => part.name)).toEqual(Object.keys(schema.properties ?? {}));
    // Only maps by strategy are no form of their own.
    const text = parts.filter((part) => all(part.shape).some((shape) => shape.kind === "json")).map((part) => part.name);
    expect(text).toEqual(name === "BacktestRequest" ? ["weights"] : []);
    for (const part of parts) expect(part.label).toMatch(/^[A-Z]/);
  });

  it.each(served)("%s takes its own defaults, and says nothing where they stand", (_, schema) => {
    for (const part of partsOf(schema, openapi)) {
      if (part.default === undefined) continue;
      expect(faults(part.shape, part.default)).toEqual({});
      expect(sparse([part], { [part.name]: part.default })).toBeUndefined();
    }
  });

  it.each(strategies.map((one) => [one.id, one] as const))("parameters of %s are as the catalogue has them", (_, one) => {
    const parts = partsOf(one.parametersSchema as unknown as Schema, undefined, one.defaultParameters as JsonObject);
    expect(Object.fromEntries(parts.map((part) => [part.name, part.default]))).toEqual(one.defaultParameters);
    for (const part of parts) expect(faults(part.shape, part.default)).toEqual({});
  });
});

const shape = (schema: Schema) => shapeOf(schema);
const fault = (schema: Schema, value: Json) => faults(shape(schema), value)[""];

describe("shapes", () => {
  it("of numbers have their bounds, also those that are themselves too much", () => {
    const level = { type: "number", exclusiveMinimum: 0, exclusiveMaximum: 100 };
    expect(shape(level)).toMatchObject({ kind: "number", whole: false, above: 0, below: 100 });
    expect(fault(level, 0)).toBe("must be above 0");
    expect(fault(level, 100)).toBe("must be below 100");
    expect(fault(level, 99.9)).toBeUndefined();
    expect(fault({ type: "integer", minimum: 2, maximum: 10_000 }, 1)).toBe("must be at least 2");
    expect(fault({ type: "integer", minimum: 2, maximum: 10_000 }, 10_001)).toBe("must be at most 10,000");
    expect(fault({ type: "integer" }, 1.5)).toBe("must be a whole number");
    expect(fault({ type: "integer" }, "ten")).toContain("must be a whole number");
    expect(fault({ type: "number", multipleOf: 0.1 }, 0.30000000000000004)).toBeUndefined();
    expect(fault({ type: "number", multipleOf: 0.25 }, 0.3)).toBe("must be a multiple of 0.25");
  });

  it("refuse whole numbers that this page would round", () => {
    expect(fault({ type: "integer", exclusiveMaximum: 2 ** 63 }, 2 ** 53)).toContain("9,007,199,254,740,991");
  });

  it("of null or something are optional; of several are either", () => {
    expect(shape({ anyOf: [{ type: "number" }, { type: "null" }] })).toMatchObject({ kind: "optional", of: { kind: "number" } });
    const speed = shape({ anyOf: [{ type: "number", minimum: 0.1 }, { const: "max", type: "string" }] });
    expect(speed.kind).toBe("either");
    expect(faults(speed, "max")).toEqual({});
    expect(faults(speed, 0)).toEqual({ "": "must be at least 0.1" });
    const options = speed.kind === "either" ? speed.of : [];
    expect([optionOf(options, "max"), optionOf(options, 5), optionOf(options, 0)]).toEqual([1, 0, 0]);
  });

  it("may be null also by a list of types, or by a default", () => {
    const listed = shape({ type: ["null", "integer"], minimum: 1 });
    expect(listed).toMatchObject({ kind: "optional", of: { kind: "number", whole: true, least: 1 } });
    expect(faults(listed, null)).toEqual({});
    expect(faults(listed, 0)).toEqual({ "": "must be at least 1" });
    const [part] = partsOf({ properties: { a: { type: "number", default: null } } });
    expect(part).toMatchObject({ default: null, shape: { kind: "optional", of: { kind: "number" } } });
    expect(faults(part!.shape, part!.default)).toEqual({});
  });

  it("follow references, whose beside goes first, and end where they lead in a circle", () => {
    const root: Schema = { properties: { a: { $ref: "#/$defs/A", default: 7, description: "here" } }, $defs: { A: { type: "integer", description: "there", default: 1 } } };
    expect(partsOf(root)[0]).toMatchObject({ default: 7, help: "here", shape: { kind: "number", whole: true } });
    const circle: Schema = { properties: { a: { $ref: "#/$defs/A" } }, $defs: { A: { type: "object", properties: { a: { $ref: "#/$defs/A" } } } } };
    expect(all({ kind: "group", parts: partsOf(circle) }).at(-1)?.kind).toBe("json");
    expect(shapeOf({ $ref: "#/$defs/none" })).toEqual({ kind: "json" });
  });

  it("of lists and objects name what is wrong by its path", () => {
    const nested: Schema = {
      type: "object",
      required: ["name"],
      properties: { name: { type: "string", maxLength: 3 }, legs: { type: "array", maxItems: 2, items: { type: "object", properties: { size: { type: "integer", minimum: 1, default: 1 } } } } },
    };
    expect(faults(shape(nested), { name: "abcd", legs: [{ size: 0 }] })).toEqual({ name: "takes at most 3 characters", "legs.0.size": "must be at least 1" });
    expect(faults(shape(nested), {})).toMatchObject({ name: "is missing" });
    expect(faults(shape(nested), { name: "a", legs: [{}, {}, {}] })).toEqual({ legs: "takes at most 2" });
    expect(faults(shape({ type: "string", pattern: "^[a-z]+$" }), "A")).toEqual({ "": "must match ^[a-z]+$" });
    expect(faults(shape({ type: "string", pattern: "(?P<no>x)" }), "A")).toEqual({});
    expect(faults(shape({ enum: ["a", "b"] }), "c")).toEqual({ "": "must be a or b" });
  });

  it("have something to begin with that is right, where that can be", () => {
    for (const [, schema] of served)
      for (const part of partsOf(schema, openapi)) {
        if (part.shape.kind === "json" || part.shape.kind === "text") continue;
        const found = Object.entries(faults(part.shape, blank(part.shape)));
        // Of text with a pattern, and of lists that need some, one has to fill it in.
        expect(found.filter(([, message]) => !/^(is missing|must match|needs at least)/.test(message))).toEqual([]);
      }
  });
});

describe("numbers", () => {
  it.each([
    ["10", 10],
    [" -0.5 ", -0.5],
    ["−3", -3],
    [".5", 0.5],
    ["1e3", 1000],
    ["10_000", 10_000],
    ["10,000", "10,000"],
    ["0,001", "0,001"],
    ["0 001", "0 001"],
    ["1 000 000.5", 1_000_000.5],
    ["", undefined],
    ["0,5", "0,5"],
    ["1,00", "1,00"],
    ["ten", "ten"],
    ["0x10", "0x10"],
    ["1e999", "1e999"],
    ["Infinity", "Infinity"],
  ])("%j is %j", (typed, value) => expect(numberOf(typed)).toBe(value));

  it("are nudged by what fits their size", () => {
    const of = (schema: Schema, value: Json) => stepOf(shape(schema) as Extract<Shape, { kind: "number" }>, value);
    expect(of({ type: "integer" }, 5)).toBe(1);
    expect(of({ type: "number", maximum: 1 }, 0.5)).toBe(0.01);
    expect(of({ type: "number", maximum: 100 }, 2)).toBe(0.1);
    expect(of({ type: "number" }, 10_000)).toBe(1);
  });

  it("say their bounds where they are for people", () => {
    expect(boundsText(shape({ type: "integer", minimum: 1, maximum: 10_000 }))).toBe("1 to 10,000");
    expect(boundsText(shape({ type: "number", exclusiveMinimum: 0, maximum: 1e15 }))).toBe("above 0");
    expect(boundsText(shape({ type: "number", minimum: 0, exclusiveMaximum: 1 }))).toBe("at least 0, below 1");
    expect(boundsText(shape({ type: "string" }))).toBe("");
  });
});

it.each([
  ["stop_loss", "Stop loss"],
  ["maxDailyLossPercent", "Max daily loss (%)"],
  ["slippageBps", "Slippage (basis points)"],
  ["baseUrl", "Base URL"],
  ["percent", "Percent"],
  ["fast", "Fast"],
])("%s is called %s", (name, label) => expect(labelOf(name)).toBe(label));

describe("what is not as by default", () => {
  const parts: Part[] = partsOf(schemas["BacktestRequest"]!, openapi);
  it("is kept at every depth, and nothing else", () => {
    expect(sparse(parts, { initialCapital: 10_000, seed: 3 })).toEqual({ seed: 3 });
    expect(sparse(parts, { commission: { fixed: 0, rate: 0.001, minimum: 0 } })).toEqual({ commission: { rate: 0.001 } });
    expect(sparse(parts, { commission: { fixed: 0, rate: 0, minimum: 0 } })).toBeUndefined();
    expect(sparse(parts, { stopLoss: null })).toBeUndefined();
    expect(sparse(parts, { stopLoss: { percent: 2 } })).toEqual({ stopLoss: { percent: 2 } });
    expect(sparse(parts, { unheard: 1 })).toEqual({ unheard: 1 });
  });
  it("is told apart whatever the order of names", () => {
    expect(same({ a: 1, b: [1, { c: null }] }, { b: [1, { c: null }], a: 1 })).toBe(true);
    expect(same({ a: 1 }, { a: 1, b: 2 })).toBe(false);
    expect(same([1, 2], [2, 1])).toBe(false);
    expect(same({ a: null }, { b: null })).toBe(false);
  });
});

it("what is put somewhere changes nothing else", () => {
  const before: Json = { a: { b: [1, 2, 3] }, c: 1 };
  const after = withAt(before, ["a", "b", "1"], 9)!;
  expect(after).toEqual({ a: { b: [1, 9, 3] }, c: 1 });
  expect(before).toEqual({ a: { b: [1, 2, 3] }, c: 1 });
  expect(valueAt(after, ["a", "b", "1"])).toBe(9);
  expect(withAt(after, ["a", "b", "0"], undefined)).toEqual({ a: { b: [9, 3] }, c: 1 });
  expect(withAt(undefined, ["x", "y"], 1)).toEqual({ x: { y: 1 } });
  const gone = withAt({ a: 1, b: 2 }, ["a"], undefined);
  expect(plain(gone) && Object.keys(gone)).toEqual(["b"]);
});
