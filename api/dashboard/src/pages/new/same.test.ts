// @vitest-environment node

import { execFileSync } from "node:child_process";
import { describe, expect, it } from "vitest";
import { asCommand, asCurl, asPython, pythonOf, quoted } from "./same";
import type { JsonObject } from "../../forms/schema";

const REQUEST: JsonObject = {
  symbol: "^GSPC",
  interval: "1d",
  startDate: "2000-03-01",
  endDate: "2013-03-01",
  strategies: ["sma_crossover", "ai_trader"],
  strategyParams: { sma_crossover: { fast: 3 }, ai_trader: { prompt: "it's $HOME `id` \"x\" \\ \n!", indicators: ["ema 20"], model: "10", temperature: null } },
  allowShort: true,
  stopLoss: { percent: 2.5 },
  priority: -3,
  speed: 50,
  startPaused: true,
  warmupBars: 0,
};
const BASE = "http://127.0.0.1:8000/below";

/** What a shell makes of it: the words that the command would get. */
function words(line: string): string[] {
  const shown = line.replace(/^(curl|backfleet)/, `printf '%s\\0'`);
  return execFileSync("sh", ["-c", shown], { env: { ...process.env, TOKEN: "secret" } }).toString().split("\0").slice(0, -1);
}

describe("words of a shell", () => {
  it.each(["plain", "a b", "it's", "$(id)", "`id`", "", "~", "*", "a\nb", "\\", "!!", "-x", "ä"])("%j stays itself", (word) => expect(words(`curl ${quoted(word)}`)).toEqual([word]));
});

it("curl sends the very request, with a token that it reads", () => {
  const line = asCurl(REQUEST, BASE);
  const sent = words(line);
  expect(JSON.parse(sent.at(-1)!)).toEqual(REQUEST);
  expect(sent).toContain("Authorization: Bearer secret");
  expect(sent).toContain(`${BASE}/api/algo/backtest`);
  expect(line).not.toContain("secret");
});

it("the command has an option for each field", () => {
  const sent = words(asCommand(REQUEST, BASE));
  expect(sent.slice(0, 5)).toEqual(["submit", "--url", BASE, "--token", "secret"]);
  const option = (name: string) => sent.flatMap((word, index) => (word === name ? [sent[index + 1]] : []));
  expect(option("--symbol")).toEqual(["^GSPC"]);
  expect(option("--strategy")).toEqual(["sma_crossover", "ai_trader"]);
  // Text that is JSON, too, is written as JSON: a model may be called 10.
  expect(option("--param")).toEqual([
    "sma_crossover.fast=3",
    'ai_trader.prompt=it\'s $HOME `id` "x" \\ \n!',
    'ai_trader.indicators=["ema 20"]',
    'ai_trader.model="10"',
    "ai_trader.temperature=null",
  ]);
  expect(option("--set")).toEqual(["allowShort=true", "stopLoss.percent=2.5"]);
  expect(sent).toContain("--priority=-3");
  expect(option("--warmup-bars")).toEqual(["0"]);
  expect(sent).toContain("--start-paused");
});

describe("Python", () => {
  it.each([
    [true, "True"],
    [null, "None"],
    [1.5, "1.5"],
    ['a"b\\\n', '"a\\"b\\\\\\n"'],
    [["a", false], '["a", False]'],
    [{ a: { b: null } }, '{"a": {"b": None}}'],
    [[], "[]"],
  ])("%j is %s", (value, text) => expect(pythonOf(value)).toBe(text));

  it("breaks what is long into lines", () => {
    expect(pythonOf({ prompt: "x".repeat(100), n: 1 }, 8)).toBe(`{\n            "prompt": "${"x".repeat(100)}",\n            "n": 1,\n        }`);
  });

  it("is a program that submits, with a token that it reads", () => {
    const text = asPython(REQUEST, BASE);
    expect(text).toContain(`BlockingBackfleet("${BASE}", os.environ["TOKEN"])`);
    expect(text).toContain('        symbol="^GSPC",\n');
    expect(text).toContain("        allowShort=True,\n");
  });
});
