// Conditions written as text, as an editor sees them: words and their colours, brackets, what may come next. Whether a
// condition is right is for the gateway to say.

import type { components } from "../wire/openapi";
import type { Place } from "./schema";

type Word = components["schemas"]["Word"];
export type Language = components["schemas"]["Language"];
export type TokenKind = "number" | "function" | "series" | "word" | "sign" | "open" | "close" | "unknown" | "space";

export interface Token {
  kind: TokenKind;
  text: string;
  at: number;
}

const TOKEN = /(?<number>(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)|(?<name>[A-Za-z_]\w*)|(?<sign>[<>=!]=|[-+*/,<>])|(?<open>\()|(?<close>\))|(?<space>\s+)|(?<unknown>.)/gsu;

export function tokens(text: string, language: Language): Token[] {
  const functions = new Set(language.functions.map((one) => one.name));
  const series = new Set(language.series.map((one) => one.name));
  const words = new Set(language.keywords.map((one) => one.name));
  return [...text.matchAll(TOKEN)].map((match) => {
    const kind = Object.entries(match.groups ?? {}).find(([, value]) => value !== undefined)?.[0] ?? "unknown";
    const word = match[0];
    const named: TokenKind = words.has(word) ? "word" : functions.has(word) ? "function" : series.has(word) ? "series" : "unknown";
    return { kind: kind === "name" ? named : (kind as TokenKind), text: word, at: match.index };
  });
}

/** The two brackets of which the caret touches one, by their places; null where it touches none that has its other. */
export function brackets(all: Token[], caret: number): [number, number] | null {
  const open: number[] = [];
  for (const token of all) {
    if (token.kind === "open") open.push(token.at);
    if (token.kind !== "close") continue;
    const begun = open.pop();
    if (begun === undefined) continue;
    if ([begun, begun + 1, token.at, token.at + 1].includes(caret)) return [begun, token.at];
  }
  return null;
}

export interface Suggestion {
  /** What is put in. */
  text: string;
  /** What is shown, with its arguments. */
  shown: string;
  kind: "function" | "price" | "word";
  about: string;
}

const SUGGESTED_MOST = 40;
const BEFORE = "not";

/** The word that the caret stands in or at the end of, from where to where. */
export function wordAt(text: string, caret: number): [number, number] {
  let [from, to] = [caret, caret];
  while (from > 0 && /\w/.test(text[from - 1]!)) from -= 1;
  while (to < text.length && /\w/.test(text[to]!)) to += 1;
  return /^\d/.test(text.slice(from, to)) ? [caret, caret] : [from, to];
}

/** What may stand where the caret is; `all` also where no word has been begun. */
export function suggestions(text: string, caret: number, language: Language, all = false): Suggestion[] {
  const [from, to] = wordAt(text, caret);
  const begun = text.slice(from, caret).toLowerCase();
  if (!begun && !all) return [];
  if (/[\d.]$/.test(text.slice(0, from)) || /^\d/.test(text.slice(from, to))) return [];
  const word = (one: Word): Suggestion => ({ text: one.name, shown: one.name, kind: "word", about: one.description });
  const offered: Suggestion[] = afterValue(text.slice(0, from), language)
    ? [...language.keywords.filter((one) => one.name !== BEFORE), ...language.operators].map(word)
    : [
        ...language.series.map((one): Suggestion => ({ text: one.name, shown: one.name, kind: "price", about: one.description })),
        ...language.functions.map((one): Suggestion => ({ text: one.name, shown: one.signature, kind: "function", about: one.description })),
        ...language.keywords.filter((one) => one.name === BEFORE).map(word),
      ];
  const rank = (one: Suggestion) => (one.text.startsWith(begun) ? 0 : one.text.split("_").some((part) => part.startsWith(begun)) ? 1 : one.text.includes(begun) ? 2 : 3);
  const fit = offered.map((one, index) => ({ one, rank: rank(one), index })).filter((each) => each.rank < 3);
  return fit
    .sort((a, b) => a.rank - b.rank || a.index - b.index)
    .map((each) => each.one)
    .slice(0, SUGGESTED_MOST);
}

/** Whether a value has ended there: only an operator, `and` or `or` can come next. */
function afterValue(before: string, language: Language): boolean {
  const last = tokens(before, language).findLast((token) => token.kind !== "space");
  return last !== undefined && ["number", "series", "close"].includes(last.kind);
}

/** The text with a suggestion in the place of the word at the caret, and where the caret stands then: a function's is
 * between its brackets. */
export function completed(text: string, caret: number, suggestion: Suggestion): { text: string; caret: number } {
  const [from, to] = wordAt(text, caret);
  const after = text.slice(to);
  let put = suggestion.text;
  if (suggestion.kind === "function" && !/^\s*\(/.test(after)) put += "()";
  else if (suggestion.kind === "word" && !after.startsWith(" ")) put += " ";
  const place = suggestion.kind === "function" ? from + suggestion.text.length + 1 : from + put.length;
  return { text: text.slice(0, from) + put + after, caret: place };
}

export interface Call {
  signature: string;
  about: string;
  /** Which of its arguments the caret stands in, and where it stands in the signature. */
  argument: [number, number] | null;
}

/** The innermost function whose brackets the caret stands between. */
export function callAt(all: Token[], caret: number, language: Language): Call | null {
  const open: { name: string; commas: number }[] = [];
  let name = "";
  for (const token of all) {
    if (token.at >= caret) break;
    if (token.kind === "open") open.push({ name, commas: 0 });
    else if (token.kind === "close") open.pop();
    else if (token.text === "," && open.length) open.at(-1)!.commas += 1;
    if (token.kind !== "space") name = token.kind === "function" ? token.text : "";
  }
  const inner = open.findLast((one) => one.name);
  const described = language.functions.find((one) => one.name === inner?.name);
  if (!inner || !described) return null;
  return { signature: described.signature, about: described.description, argument: argumentOf(described.signature, inner.commas) };
}

function argumentOf(signature: string, index: number): [number, number] | null {
  const first = signature.indexOf("(") + 1;
  const parts = signature.slice(first, -1).split(",");
  const part = parts[index];
  if (!part?.trim()) return null;
  const from = first + parts.slice(0, index).reduce((sum, one) => sum + one.length + 1, 0);
  return [from + part.length - part.trimStart().length, from + part.length];
}

export interface Mistake {
  /** From which place of the text to which; nothing in between where something is missing. */
  from: number;
  to: number;
  near: string[];
}

/** Where in a text a mistake is. People count characters; texts are counted in units here, of which some have two. */
export function mistakeOf(place: Place | undefined, text: string): Mistake | null {
  if (!place) return null;
  const characters = [...text];
  const unit = (character: number) => characters.slice(0, character).join("").length;
  return { from: unit(place.start), to: unit(place.end), near: place.near };
}

/** A refusal without what stands beside it already: the text itself, and all functions there are. */
export const shortly = (message: string): string => message.replace(/ \(got "[^]*"\)$/, "").replace(/;? functions are [\w, ]+$/, "");

export interface Piece {
  text: string;
  kind: TokenKind;
  wrong: boolean;
  bracket: boolean;
}

/** The text in pieces of one look each. Whatever word a mistake lies in is wrong as a whole. */
export function pieces(all: Token[], mistake: Mistake | null, pair: [number, number] | null): Piece[] {
  const end = all.length ? all.at(-1)!.at + all.at(-1)!.text.length : 0;
  const [from, to] = mistake ? [mistake.from, Math.max(mistake.to, mistake.from + 1)] : [-1, -1];
  const shown = all.map(({ kind, text, at }) => ({ kind, text, wrong: at < to && at + text.length > from, bracket: Boolean(pair?.includes(at)) }));
  // What is missing at the end is shown there.
  if (from >= end) shown.push({ kind: "space", text: " ", wrong: true, bracket: false });
  return shown;
}

export interface Example {
  title: string;
  long: string;
  short: string;
  exit: string;
}

export const EXAMPLES: Example[] = [
  { title: "Two averages cross", long: "crosses_above(sma(close, 10), sma(close, 30))", short: "crosses_below(sma(close, 10), sma(close, 30))", exit: "" },
  { title: "Buy a dip in an uptrend", long: "close > sma(close, 100) and rsi(close, 5) < 35", short: "", exit: "rsi(close, 5) > 65" },
  { title: "Break out of a range", long: "close > highest(shift(high, 1), 20)", short: "close < lowest(shift(low, 1), 20)", exit: "crosses_below(close, lowest(shift(low, 1), 10))" },
  { title: "Momentum in a strong trend", long: "macd_histogram(close) > 0 and adx(14) > 25", short: "macd_histogram(close) < 0 and adx(14) > 25", exit: "adx(14) < 15" },
  { title: "Outside the Bollinger bands", long: "crosses_above(close, bollinger_lower(close, 20, 2))", short: "crosses_below(close, bollinger_upper(close, 20, 2))", exit: "abs(zscore(close, 20)) < 0.2" },
];
