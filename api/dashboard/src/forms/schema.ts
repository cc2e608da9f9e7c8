// Forms out of JSON Schemas: what a schema asks for, as a shape that a form can draw, and what is wrong with a value of it.
// A gateway judges all values itself; what is judged here is what can be said before it is asked.

export type Json = null | boolean | number | string | Json[] | { [name: string]: Json };
export type JsonObject = { [name: string]: Json };

/** As much of JSON Schema as gateways write. What is not in here is drawn as text of JSON, never left out. */
export interface Schema {
  type?: string | string[];
  $ref?: string;
  title?: string;
  description?: string;
  default?: Json | undefined;
  enum?: Json[];
  const?: Json;
  anyOf?: Schema[];
  items?: Schema;
  properties?: Record<string, Schema>;
  required?: string[];
  additionalProperties?: boolean | Schema;
  minimum?: number;
  maximum?: number;
  exclusiveMinimum?: number;
  exclusiveMaximum?: number;
  multipleOf?: number;
  minLength?: number;
  maxLength?: number;
  pattern?: string;
  minItems?: number;
  maxItems?: number;
  [other: string]: unknown;
}

/** The least and the most that a number may be; `above` and `below` are themselves too little and too much. */
export interface Bounds {
  least?: number;
  most?: number;
  above?: number;
  below?: number;
}

export type Shape =
  | ({ kind: "number"; whole: boolean; multipleOf: number | undefined } & Bounds)
  | { kind: "boolean" }
  | { kind: "choice"; values: Json[] }
  | { kind: "text"; least: number; most: number | undefined; pattern: string | undefined }
  | { kind: "list"; item: Shape; least: number; most: number | undefined }
  | { kind: "group"; parts: Part[] }
  /** Null, or what `of` says. */
  | { kind: "optional"; of: Shape }
  | { kind: "either"; of: Shape[] }
  | { kind: "json" };

/** A named value of a form. */
export interface Part {
  name: string;
  label: string;
  help: string;
  shape: Shape;
  /** Undefined where it has to be given. */
  default: Json | undefined;
}

const SHORT_TEXT_CHARS = 1000;
/** A bound beyond it is for machines: nobody needs to read it. */
const BOUND_SHOWN_MOST = 1e9;
const DEPTH_MAX = 12;

/** The parts of a form for an object of this schema, in its order; `given` are defaults that go before its own. */
export function partsOf(schema: Schema, root: Schema = schema, given: JsonObject = {}, depth = 0): Part[] {
  return Object.entries(schema.properties ?? {}).map(([name, one]) => {
    const full = resolved(one, root);
    const asked = shapeOf(full, root, depth + 1);
    // A default of null says that it may be null, whatever its type says.
    const shape: Shape = full.default === null && asked.kind !== "optional" ? { kind: "optional", of: asked } : asked;
    return {
      name,
      label: labelOf(name),
      help: full.description ?? "",
      shape,
      default: name in given ? given[name] : (full.default ?? (shape.kind === "optional" ? null : undefined)),
    };
  });
}

export function shapeOf(schema: Schema, root: Schema = schema, depth = 0): Shape {
  const one = resolved(schema, root);
  if (depth > DEPTH_MAX) return { kind: "json" };
  const within = (inner: Schema) => shapeOf(inner, root, depth + 1);
  if (Array.isArray(one.type)) return within({ anyOf: one.type.map((type) => ({ ...one, type, default: undefined })) });
  if (one.const !== undefined) return { kind: "choice", values: [one.const] };
  if (one.enum) return one.enum.length ? { kind: "choice", values: one.enum } : { kind: "json" };
  if (one.anyOf) {
    const isNull = (each: Schema) => resolved(each, root).type === "null";
    const others = one.anyOf.filter((each) => !isNull(each));
    const first = others[0];
    if (!first) return { kind: "json" };
    const inner: Shape = others.length === 1 ? within(first) : { kind: "either", of: others.map(within) };
    return others.length < one.anyOf.length ? { kind: "optional", of: inner } : inner;
  }
  switch (one.type) {
    case "integer":
    case "number":
      return { kind: "number", whole: one.type === "integer", multipleOf: one.multipleOf, ...boundsOf(one) };
    case "boolean":
      return { kind: "boolean" };
    case "string":
      return { kind: "text", least: one.minLength ?? 0, most: one.maxLength, pattern: one.pattern };
    case "array":
      return one.items ? { kind: "list", item: within(one.items), least: one.minItems ?? 0, most: one.maxItems } : { kind: "json" };
    case "object":
      if (one.properties) return { kind: "group", parts: partsOf(one, root, {}, depth + 1) };
  }
  return { kind: "json" };
}

/** What `$ref` leads to, with what is said beside it (a description, a default) before what is said there. */
function resolved(schema: Schema, root: Schema): Schema {
  let one = schema;
  for (let hops = 0; one.$ref !== undefined && hops < DEPTH_MAX; hops += 1) {
    const { $ref, ...beside } = one;
    let target: unknown = root;
    for (const name of $ref.replace(/^#\//, "").split("/")) target = (target as Record<string, unknown> | undefined)?.[name];
    one = { ...((target as Schema | undefined) ?? {}), ...beside };
  }
  return one;
}

function boundsOf(schema: Schema): Bounds {
  return {
    ...(schema.minimum === undefined ? {} : { least: schema.minimum }),
    ...(schema.maximum === undefined ? {} : { most: schema.maximum }),
    ...(schema.exclusiveMinimum === undefined ? {} : { above: schema.exclusiveMinimum }),
    ...(schema.exclusiveMaximum === undefined ? {} : { below: schema.exclusiveMaximum }),
  };
}

const UNITS: Record<string, string> = { Bps: "(basis points)", Ms: "(ms)", Usd: "(US $)", Url: "URL", Percent: "(%)" };

/** `maxDailyLossPercent` → "Max daily loss (%)"; `stop_loss` → "Stop loss". */
export function labelOf(name: string): string {
  const words = name.split(/_|(?=[A-Z])/).filter(Boolean);
  const last = words.at(-1)!;
  const unit = words.length > 1 ? UNITS[last[0]!.toUpperCase() + last.slice(1)] : undefined;
  const text = [...words.slice(0, -1), unit ?? last].map((word) => (word === unit ? word : word.toLowerCase())).join(" ");
  return text[0]!.toUpperCase() + text.slice(1);
}

/** "1 to 10,000", "above 0"; empty where there is nothing worth reading. */
export function boundsText(shape: Shape): string {
  if (shape.kind === "optional") return boundsText(shape.of);
  if (shape.kind !== "number") return "";
  const text = (value: number) => value.toLocaleString("en-US", { maximumFractionDigits: 12 });
  const shown = (value: number | undefined) => value !== undefined && Math.abs(value) < BOUND_SHOWN_MOST;
  const { least, most, above, below } = shape;
  if (shown(least) && shown(most)) return `${text(least!)} to ${text(most!)}`;
  const low = shown(above) ? `above ${text(above!)}` : shown(least) ? `at least ${text(least!)}` : "";
  const high = shown(below) ? `below ${text(below!)}` : shown(most) ? `at most ${text(most!)}` : "";
  return [low, high].filter(Boolean).join(", ");
}

/** The same as a sentence. */
export function boundsSentence(shape: Shape | undefined): string {
  const text = shape ? boundsText(shape) : "";
  return text && `${text[0]!.toUpperCase()}${text.slice(1)}.`;
}

/** How far one press of an arrow goes. */
export function stepOf(shape: Bounds & { whole: boolean; multipleOf: number | undefined }, value: Json | undefined): number {
  if (shape.multipleOf) return shape.multipleOf;
  if (shape.whole) return 1;
  const size = Math.min(shape.most ?? shape.below ?? Infinity, typeof value === "number" && value !== 0 ? Math.abs(value) * 10 : Infinity);
  return size <= 0.2 ? 0.0001 : size <= 1 ? 0.01 : size <= 30 ? 0.1 : 1;
}

export function isLong(shape: Shape): boolean {
  return shape.kind === "text" && shape.most !== undefined && shape.most > SHORT_TEXT_CHARS && !shape.pattern;
}

export const plain = (value: Json | undefined): value is JsonObject => typeof value === "object" && value !== null && !Array.isArray(value);

/** Whether two values are the same JSON; the order of names says nothing. */
export function same(a: Json | undefined, b: Json | undefined): boolean {
  if (a === b) return true;
  if (Array.isArray(a) && Array.isArray(b)) return a.length === b.length && a.every((one, index) => same(one, b[index]));
  if (!plain(a) || !plain(b)) return false;
  const names = Object.keys(a);
  return names.length === Object.keys(b).length && names.every((name) => name in b && same(a[name], b[name]));
}

/** A number out of what was typed; what is none stays as it was typed, so that nothing is lost and it can be named. */
export function numberOf(typed: string): Json | undefined {
  const text = typed.trim().replace(/^[−–]/, "-");
  if (text === "") return undefined;
  // 10 000.5 and 10_000; no comma, which is one thing here and another there: 1,000 may be 1.
  const bare = /^[+-]?[1-9]\d{0,2}([ _]\d{3})+(\.\d+)?$/.test(text) ? text.replace(/[ _]/g, "") : text;
  const value = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(bare) ? Number(bare) : NaN;
  return Number.isFinite(value) ? value : typed;
}

/** A number as one types it. */
export const numberText = (value: Json | undefined): string => (value === undefined || value === null ? "" : String(value));

/** What is wrong with a value, by path below it ("" is itself); nothing where it may be right. */
export function faults(shape: Shape, value: Json | undefined, path = ""): Record<string, string> {
  const found: Record<string, string> = {};
  const at = (name: string | number) => (path ? `${path}.${name}` : String(name));
  const say = (message: string) => (found[path] = message);
  switch (shape.kind) {
    case "number": {
      const message = numberFault(shape, value);
      if (message) say(message);
      break;
    }
    case "boolean":
      if (typeof value !== "boolean") say("must be yes or no");
      break;
    case "choice":
      if (!shape.values.some((one) => same(one, value))) say(`must be ${shape.values.map((one) => String(one)).join(" or ")}`);
      break;
    case "text": {
      const message = textFault(shape, value);
      if (message) say(message);
      break;
    }
    case "list":
      if (!Array.isArray(value)) say("must be a list");
      else if (value.length < shape.least) say(`needs at least ${shape.least}`);
      else if (shape.most !== undefined && value.length > shape.most) say(`takes at most ${shape.most}`);
      else value.forEach((one, index) => Object.assign(found, faults(shape.item, one, at(index))));
      break;
    case "group":
      for (const part of shape.parts) {
        const given = plain(value) ? value[part.name] : undefined;
        if (given !== undefined) Object.assign(found, faults(part.shape, given, at(part.name)));
        else if (part.default === undefined) found[at(part.name)] = "is missing";
      }
      break;
    case "optional":
      if (value !== null) Object.assign(found, faults(shape.of, value, path));
      break;
    case "either": {
      const all = shape.of.map((one) => faults(one, value, path));
      const nearest = all[optionOf(shape.of, value)];
      if (all.every((one) => Object.keys(one).length)) Object.assign(found, nearest);
      break;
    }
    case "json":
      break;
  }
  return found;
}

function numberFault(shape: Bounds & { whole: boolean; multipleOf: number | undefined }, value: Json | undefined): string | undefined {
  if (typeof value !== "number" || !Number.isFinite(value)) return `must be a ${shape.whole ? "whole number, such as 10000" : "number, with a point for decimals and without commas"}`;
  if (shape.whole && !Number.isInteger(value)) return "must be a whole number";
  if (shape.whole && !Number.isSafeInteger(value)) return `must be within ±${Number.MAX_SAFE_INTEGER.toLocaleString("en-US")} on this page`;
  const text = (bound: number) => bound.toLocaleString("en-US", { maximumFractionDigits: 12 });
  if (shape.least !== undefined && value < shape.least) return `must be at least ${text(shape.least)}`;
  if (shape.above !== undefined && value <= shape.above) return `must be above ${text(shape.above)}`;
  if (shape.most !== undefined && value > shape.most) return `must be at most ${text(shape.most)}`;
  if (shape.below !== undefined && value >= shape.below) return `must be below ${text(shape.below)}`;
  if (shape.multipleOf && Math.abs(value / shape.multipleOf - Math.round(value / shape.multipleOf)) > 1e-9) return `must be a multiple of ${text(shape.multipleOf)}`;
  return undefined;
}

function textFault(shape: { least: number; most: number | undefined; pattern: string | undefined }, value: Json | undefined): string | undefined {
  if (typeof value !== "string") return "must be text";
  if (value.length < shape.least) return value ? `needs at least ${shape.least} characters` : "is missing";
  if (shape.most !== undefined && [...value].length > shape.most) return `takes at most ${shape.most.toLocaleString("en-US")} characters`;
  if (shape.pattern && !matches(shape.pattern, value)) return `must match ${shape.pattern}`;
  return undefined;
}

/** A pattern that this engine cannot read is for the gateway to judge. */
function matches(pattern: string, value: string): boolean {
  try {
    return new RegExp(pattern, "u").test(value);
  } catch {
    return true;
  }
}

/** Which of several shapes a value is meant to have: the first it fits, else the first of its type. */
export function optionOf(shapes: Shape[], value: Json | undefined): number {
  const fits = shapes.findIndex((one) => !Object.keys(faults(one, value)).length);
  if (fits >= 0) return fits;
  const type = { number: "number", string: "text", boolean: "boolean" }[typeof value as string];
  return Math.max(0, shapes.findIndex((one) => one.kind === type));
}

/** A value to begin with where there is no default. */
export function blank(shape: Shape): Json {
  switch (shape.kind) {
    case "number":
      return shape.least ?? (shape.above !== undefined ? Math.min(shape.above + 1, shape.most ?? Infinity) : 0);
    case "boolean":
      return false;
    case "choice":
      return shape.values[0] ?? null;
    case "text":
      return "";
    case "list":
      return [];
    case "group":
      return Object.fromEntries(shape.parts.map((part) => [part.name, part.default ?? blank(part.shape)]));
    case "optional":
    case "json":
      return null;
    case "either":
      return shape.of[0] ? blank(shape.of[0]) : null;
  }
}

/** Of an object, what is not as by default, at every depth; undefined where nothing is. */
export function sparse(parts: Part[], given: JsonObject): JsonObject | undefined {
  const known = new Map(parts.map((part) => [part.name, part]));
  const kept = Object.entries(given).flatMap(([name, value]): [string, Json][] => {
    const part = known.get(name);
    if (part?.shape.kind === "group" && plain(value)) {
      const inner = sparse(part.shape.parts.map((one) => ({ ...one, default: plain(part.default) ? (part.default[one.name] ?? one.default) : one.default })), value);
      return inner ? [[name, inner]] : [];
    }
    return part && same(part.default, value) ? [] : [[name, value]];
  });
  return kept.length ? Object.fromEntries(kept) : undefined;
}

/** What stands at a place inside of a value. */
export function valueAt(value: Json | undefined, path: readonly string[]): Json | undefined {
  let one: Json | undefined = value;
  for (const name of path) one = Array.isArray(one) ? one[Number(name)] : plain(one) ? one[name] : undefined;
  return one;
}

/** The value with something else at a place inside of it; undefined takes away what is there. The rest stays the same. */
export function withAt(value: Json | undefined, path: readonly string[], put: Json | undefined): Json | undefined {
  const [name, ...rest] = path;
  if (name === undefined) return put;
  if (Array.isArray(value)) {
    const inner = withAt(value[Number(name)], rest, put);
    return inner === undefined ? value.filter((_, index) => index !== Number(name)) : value.with(Number(name), inner);
  }
  const { [name]: old, ...others } = plain(value) ? value : {};
  const inner = withAt(old, rest, put);
  if (inner !== undefined) return plain(value) && name in value ? { ...value, [name]: inner } : { ...others, [name]: inner };
  return others;
}

/** What the fields of a form read and write, by paths as refusals name them. */
export interface Form {
  /** As it was given; undefined where it is as by default. */
  value: (path: readonly string[]) => Json | undefined;
  set: (path: readonly string[], value: Json | undefined) => void;
  problem: (path: readonly string[]) => string | undefined;
  /** Where in the text that stands there something is wrong, if that is known. */
  place?: (path: readonly string[]) => Place | undefined;
}

/** Characters as people count them, from 0; `near` are names that may be meant. */
export interface Place {
  start: number;
  end: number;
  near: string[];
}
