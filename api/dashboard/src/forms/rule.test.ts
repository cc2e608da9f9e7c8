// @vitest-environment node

import { describe, expect, it } from "vitest";
import { brackets, callAt, completed, type Language, mistakeOf, pieces, shortly, suggestions, tokens } from "./rule";
import fixture from "./strategies.fixture.json";

const language = fixture.find((one) => one.id === "rule")!.language as Language;
const kinds = (text: string) => tokens(text, language).filter((one) => one.kind !== "space").map((one) => `${one.text}:${one.kind}`);
/** `|` is the caret. */
const at = (text: string): [string, number] => [text.replace("|", ""), text.indexOf("|")];
const offered = (text: string, all = false) => suggestions(...at(text), language, all).map((one) => one.text);

it("each word has its kind, and the words are the whole text", () => {
  expect(kinds("sma(close, 10) >= 1.5e3 and not foo ?")).toEqual(["sma:function", "(:open", "close:series", ",:sign", "10:number", "):close", ">=:sign", "1.5e3:number", "and:word", "not:word", "foo:unknown", "?:unknown"]);
  for (const text of ["", "  a\n b ", "(((", "ä 🙂 x", "1..2", "close>open\tand"]) expect(tokens(text, language).map((one) => one.text).join("")).toBe(text);
  for (const one of tokens("🙂 close", language)) expect("🙂 close".slice(one.at)).toMatch(new RegExp(`^${one.text}`, "u"));
});

it("brackets have their other, where there is one", () => {
  const pair = (text: string) => brackets(tokens(at(text)[0], language), at(text)[1]);
  expect(pair("abs|(min(open, close))")).toEqual([3, 20]);
  expect(pair("abs(min(open, close)|)")).toEqual([7, 19]);
  expect(pair("abs(min|(open")).toBeNull();
  expect(pair("clo|se")).toBeNull();
  expect(pair(")|(")).toBeNull();
});

describe("suggestions", () => {
  it("are what begins so, then what has it in it", () => {
    expect(offered("cl|")[0]).toBe("close");
    expect(offered("bol|")).toEqual(["bollinger_upper", "bollinger_middle", "bollinger_lower"]);
    expect(offered("signal|")).toEqual(["macd_signal"]);
    expect(offered("close > sm|")[0]).toBe("sma");
    expect(offered("xyz|")).toEqual([]);
  });
  it("come of themselves only where a word was begun", () => {
    expect(offered("|")).toEqual([]);
    expect(offered("|", true)).toContain("close");
    expect(offered("sma(close, 1|")).toEqual([]);
    expect(offered("1e|")).toEqual([]);
  });
  it("after a value are what joins it with another", () => {
    expect(offered("close > open a|")).toEqual(["and"]);
    expect(offered("close > open |", true)).toEqual(["and", "or", "<", "<=", ">", ">=", "==", "!=", "+", "-", "*", "/"]);
    expect(offered("(close > open) o|")).toEqual(["or"]);
    expect(offered("close > o|")).toContain("open");
  });
  it("put functions with brackets, in which the caret stands then", () => {
    const done = (text: string, index = 0) => {
      const found = completed(...at(text), suggestions(...at(text), language)[index]!);
      return `${found.text.slice(0, found.caret)}|${found.text.slice(found.caret)}`;
    };
    expect(done("close > sm|")).toBe("close > sma(|)");
    expect(done("close > sm|(close, 5)")).toBe("close > sma(|close, 5)");
    expect(done("cl|o > 3")).toBe("close| > 3");
    expect(done("close > open a|")).toBe("close > open and |");
  });
});

it("a function says which of its arguments is written", () => {
  const call = (text: string) => {
    const found = callAt(tokens(at(text)[0], language), at(text)[1], language);
    return found && `${found.signature.slice(0, found.signature.indexOf("("))}: ${found.argument ? found.signature.slice(...found.argument) : "none"}`;
  };
  expect(call("sma(|")).toBe("sma: x");
  expect(call("sma(close, |20)")).toBe("sma: period");
  expect(call("crosses_above(sma(close, 5), |")).toBe("crosses_above: b");
  expect(call("macd(close, 1, (2 + |")).toBe("macd: slow = 26");
  expect(call("sma(close, 5, |")).toBe("sma: none");
  expect(call("(close > |")).toBeNull();
  expect(call("sma(close, 5) > |")).toBeNull();
});

describe("a mistake", () => {
  it("stands where the gateway says, also behind characters of two units", () => {
    expect(mistakeOf({ start: 2, end: 5, near: ["sma"] }, "🙂 smb")).toEqual({ from: 3, to: 6, near: ["sma"] });
    expect(mistakeOf(undefined, "a smb")).toBeNull();
  });
  it("is shown under the whole word, or after the end", () => {
    const wrong = (text: string, from: number | null, to = from ?? 0) => pieces(tokens(text, language), from === null ? null : { from, to, near: [] }, null).filter((one) => one.wrong).map((one) => one.text);
    expect(wrong("close > smaa(close, 3)", 8)).toEqual(["smaa"]);
    expect(wrong("sma(close, 10", 13)).toEqual([" "]);
    expect(wrong("a + b > c", 0, 5)).toEqual(["a", " ", "+", " ", "b"]);
    expect(wrong("", 0)).toEqual([" "]);
    expect(wrong("close", null)).toEqual([]);
  });
  it("is told without what stands beside it", () => {
    expect(shortly('at character 1: found "a"; did you mean abs? functions are sma, ema, max (got "a \\"b\\" (c)")')).toBe('at character 1: found "a"; did you mean abs?');
    expect(shortly("is missing")).toBe("is missing");
  });
});
