// The same request as other programs send it. A token is never in it: it is read out of the environment, as TOKEN.

import { givenTo, strategiesOf } from "./request";
import { type Json, type JsonObject, plain } from "../../forms/schema";

/** A word as POSIX shells take it, whatever is in it. */
export function quoted(word: string): string {
  return /^[\w./:=@%+,-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

export const asJson = (request: JsonObject): string => JSON.stringify(request, null, 2);

export function asCurl(request: JsonObject, base: string): string {
  return [
    `curl -s -X POST ${quoted(`${base}/api/algo/backtest`)}`,
    `  -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json'`,
    `  -d ${quoted(asJson(request))}`,
  ].join(" \\\n");
}

export function asPython(request: JsonObject, base: string): string {
  const fields = Object.entries(request).map(([name, value]) => `        ${name}=${pythonOf(value, 8)},`);
  return `import os

from backfleet.client import BlockingBackfleet

with BlockingBackfleet(${pythonOf(base)}, os.environ["TOKEN"]) as fleet:
    run = fleet.submit(
${fields.join("\n")}
    )
    result = run.result()
    print(result["metrics"]["totalReturn"])
`;
}

const LINE_CHARS = 90;

/** A literal of Python. What JSON writes of text is text in Python, too. */
export function pythonOf(value: Json, indent = 0): string {
  if (value === null) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (typeof value !== "object") return JSON.stringify(value);
  const [open, close] = Array.isArray(value) ? "[]" : "{}";
  const parts = Array.isArray(value) ? value.map((one) => pythonOf(one, indent + 4)) : Object.entries(value).map(([name, one]) => `${JSON.stringify(name)}: ${pythonOf(one, indent + 4)}`);
  const line = `${open}${parts.join(", ")}${close}`;
  if (line.length + indent <= LINE_CHARS && !line.includes("\n")) return line;
  const inner = " ".repeat(indent + 4);
  return `${open}\n${parts.map((one) => `${inner}${one},\n`).join("")}${" ".repeat(indent)}${close}`;
}

const OPTIONS: Record<string, string> = {
  symbol: "--symbol",
  interval: "--interval",
  startDate: "--from",
  endDate: "--to",
  warmupBars: "--warmup-bars",
  priority: "--priority",
  speed: "--speed",
};

export function asCommand(request: JsonObject, base: string): string {
  const lines = [`backfleet submit --url ${quoted(base)} --token "$TOKEN"`];
  const put = (option: string, name: string, value: Json) => lines.push(`  ${option} ${quoted(`${name}=${optionValue(value)}`)}`);
  for (const [name, value] of Object.entries(request)) {
    const option = OPTIONS[name];
    // With `=`, so that a value which begins with a minus is no option of its own.
    if (option) lines.push(`  ${option}${String(value).startsWith("-") ? "=" : " "}${quoted(String(value))}`);
    else if (name === "strategies") lines.push(...strategiesOf(request).map((one) => `  --strategy ${quoted(one)}`));
    else if (name === "startPaused") lines.push("  --start-paused");
    else if (name === "strategyParams" && plain(value))
      for (const strategy of Object.keys(value)) for (const [parameter, one] of Object.entries(givenTo(request, strategy))) put("--param", `${strategy}.${parameter}`, one);
    else if (plain(value)) for (const [inner, one] of Object.entries(value)) put("--set", `${name}.${inner}`, one);
    else put("--set", name, value);
  }
  return lines.join(" \\\n");
}

/** As the command reads it: JSON where it is JSON, else text. Text that looks like JSON is written as JSON. */
function optionValue(value: Json): string {
  if (typeof value !== "string") return JSON.stringify(value);
  try {
    JSON.parse(value);
  } catch {
    return value;
  }
  return JSON.stringify(value);
}
