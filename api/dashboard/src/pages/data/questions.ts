// What one can decide about how files are read: the fields of an import, and the questions that a refused one asks.

import type { Problem } from "../../problem";
import { INTERVALS } from "./series";

export interface ImportField {
  name: string;
  label: string;
  help: string;
  /** The only answers there are. */
  options?: { value: string; label: string }[];
  /** Answers that are likely; others will do, too. */
  likely?: string[];
  placeholder?: string;
}

const ZONES = ["UTC", "America/New_York", "America/Chicago", "Europe/London", "Europe/Berlin", "Asia/Tokyo", "Asia/Hong_Kong"];
const named = (...pairs: [string, string][]) => pairs.map(([value, label]) => ({ value, label }));

export const IMPORT_FIELDS: ImportField[] = [
  { name: "symbol", label: "Symbol", help: "Where neither a column nor the file's name says it.", placeholder: "BTCUSDT" },
  { name: "interval", label: "Interval", help: "Where it is not the most common step.", options: INTERVALS.map((value) => ({ value, label: value })) },
  { name: "columns", label: "Columns", help: "What each is, in order (- skips one), or where each is, by name or number.", placeholder: "time,open,high,low,close,volume" },
  { name: "timeZone", label: "Time zone", help: "Of times that have none.", likely: ZONES, placeholder: "UTC" },
  { name: "dateOrder", label: "Order of dates", help: "Of dates such as 03/04/2024.", options: named(["dmy", "Day first"], ["mdy", "Month first"], ["ymd", "Year first"]) },
  { name: "timeUnit", label: "Unit of times", help: "Of times that are numbers.", options: named(["s", "Seconds"], ["ms", "Milliseconds"], ["us", "Microseconds"], ["ns", "Nanoseconds"], ["excel", "Excel's days"]) },
  { name: "decimal", label: "Decimals", help: "What stands before decimals.", options: named(["point", "A point: 1.5"], ["comma", "A comma: 1,5"]) },
  { name: "side", label: "Side", help: "Of bid and ask quotes.", options: named(["bid", "Bid"], ["ask", "Ask"], ["mid", "Half-way"]) },
  { name: "price", label: "Price", help: "Where there is an adjusted close.", options: named(["adjusted", "Adjusted"], ["traded", "As traded"]) },
  { name: "priceScale", label: "Scale of prices", help: "What prices are divided by.", options: named(["1", "As they stand"], ["10000", "Divided by 10,000"]) },
  { name: "skipLines", label: "Lines to skip", help: "At the top, that are none of the table.", placeholder: "0" },
  { name: "sessionZone", label: "Clock of trading days", help: "Whose clock days of trade keep to.", likely: ZONES, placeholder: "America/New_York" },
  { name: "anchor", label: "Days begin at", help: "By that clock.", placeholder: "17:00" },
  { name: "calendar", label: "Exchange calendar", help: "Whose holidays and hours are no gaps: XNYS, XLON, …", likely: ["XNYS", "XNAS", "XLON", "XFRA", "XTKS", "XHKG"], placeholder: "XNYS" },
  { name: "allowGaps", label: "Missing bars", help: "More than 1 % of them are refused otherwise.", options: named(["true", "Import it with its gaps"]) },
  { name: "dropUnfinished", label: "A last bar that has not ended", help: "Left out where nothing else is said.", options: named(["true", "Leave it out"], ["false", "Refuse it"]) },
  { name: "onConflict", label: "Bars that are stored with other values", help: "Refused where nothing is said.", options: named(["keep", "Keep what is stored"], ["replace", "Replace what is stored"]) },
];

/** For a form of all of them. */
export const undecided = (): Record<string, string> => Object.fromEntries(IMPORT_FIELDS.map((field) => [field.name, ""]));

export interface Question {
  field: string;
  label: string;
  /** What the gateway said of it, where that is not what it said of the whole. */
  message: string;
  choices: { value: string; label: string }[];
  /** Whether something else than the choices may be the answer. */
  free: boolean;
  placeholder: string;
  /** As the refusal wrote it for an example: to begin with. */
  example: string;
}

/** Fields that a text names with a value, `allowGaps=true`: to decide them is what it advises. */
function advised(text: string): { field: string; values: string[] }[] {
  return IMPORT_FIELDS.flatMap(({ name }) => {
    const values = [...text.matchAll(new RegExp(`\\b${name}=([\\w,/+-]+)`, "g"))].map(([, value]) => (value ?? "").replace(/,$/, ""));
    return values.length ? [{ field: name, values }] : [];
  });
}

/** What a refusal asks, each field once, as one can answer it here. */
export function questionsOf(problem: Problem): Question[] {
  const asked = new Map<string, Question>();
  for (const { field, message, choices = [] } of problem.errors) {
    const known = IMPORT_FIELDS.find((one) => one.name === field);
    if (!known || asked.has(field)) continue;
    const offered = choices.length ? choices : (known.options ?? known.likely?.map((value) => ({ value, label: value })) ?? []);
    asked.set(field, {
      field,
      label: known.label,
      message: message === problem.message ? "" : message,
      choices: offered,
      free: !known.options,
      placeholder: known.placeholder ?? "",
      example: "",
    });
  }
  for (const { field, values } of advised(problem.message)) {
    const known = IMPORT_FIELDS.find((one) => one.name === field);
    if (!known || asked.has(field)) continue;
    const choices = known.options?.filter((one) => values.includes(one.value)) ?? [];
    asked.set(field, { field, label: known.label, message: "", choices, free: !known.options, placeholder: known.placeholder ?? "", example: known.options ? "" : (values[0] ?? "") });
  }
  return [...asked.values()];
}

/** The file that a refusal of several is about: refusals begin with its name. */
export function blamed(problem: Problem, names: string[]): string | null {
  const found = names.filter((name) => new RegExp(`^${name.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")}(?=$|[:,/ ])`).test(problem.message));
  return found.length === 1 ? (found[0] ?? null) : null;
}
