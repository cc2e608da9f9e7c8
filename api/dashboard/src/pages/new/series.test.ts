// @vitest-environment node

import { describe, expect, it } from "vitest";
import { asDate, firstChoice, found, intervalsOf, judge, msOf, servedBy, type Series } from "./series";

const series = (symbol: string, interval: string, start = "2000-03-01T00:00:00Z", end = "2013-03-02T00:00:00Z", bars = 3270): Series => ({
  symbol,
  interval,
  source: `${symbol.toLowerCase()}.csv`,
  bars,
  start,
  end,
});
const ALL = [series("BTC", "1m"), series("BTC", "1h"), series("AAPL", "1d"), series("OLD", "3d"), series("MON", "1M")];

it("bars are made of stored ones that divide them, the coarsest first", () => {
  expect(servedBy(ALL, "BTC", "1h")?.interval).toBe("1h");
  expect(servedBy(ALL, "BTC", "4h")?.interval).toBe("1h");
  expect(servedBy(ALL, "BTC", "30m")?.interval).toBe("1m");
  expect(servedBy(ALL, "AAPL", "1h")).toBeUndefined();
  expect(intervalsOf(ALL, "AAPL")).toEqual(["1d", "3d", "1w", "1M"]);
  // A week is no multiple of three days, and months are made of what divides a day.
  expect(intervalsOf(ALL, "OLD")).toEqual(["3d"]);
  expect(intervalsOf(ALL, "MON")).toEqual(["1M"]);
  expect(intervalsOf(ALL, "NONE")).toEqual([]);
});

it("one begins with daily bars", () => {
  expect(firstChoice(ALL)?.symbol).toBe("AAPL");
  expect(firstChoice([series("X", "1m")])?.symbol).toBe("X");
  expect(firstChoice([])).toBeUndefined();
});

it("dates are as short as they can be, and come back", () => {
  expect(asDate(Date.UTC(2020, 0, 1))).toBe("2020-01-01");
  expect(asDate(Date.UTC(2020, 11, 13, 5, 20))).toBe("2020-12-13T05:20:00Z");
  expect(msOf("2020-12-13T05:20:00Z")).toBe(Date.UTC(2020, 11, 13, 5, 20));
  for (const wrong of [undefined, 5, "soon", "2020-13-01", ""]) expect(msOf(wrong)).toBeNull();
});

describe("a range", () => {
  const of = series("AAPL", "1d");
  const said = (start: string | undefined, end: string | undefined) => judge(of, start, end).map((one) => `${one.field} ${one.kind}`);
  it("is judged as the gateway judges it", () => {
    expect(said("2000-03-01", "2013-03-02")).toEqual([]);
    expect(said("1990-01-01", "2020-01-01")).toEqual(["startDate warn", "endDate warn"]);
    expect(said("1990-01-01", "2000-03-01")).toEqual(["endDate bad"]);
    expect(said("2013-03-02", "2014-01-01")).toEqual(["startDate bad"]);
    expect(said("2005-01-01", "2005-01-01")).toEqual(["endDate bad"]);
    expect(said(undefined, "2005-01-01")).toEqual(["startDate bad"]);
  });
});

it("markets are found by all words, those that begin so first", () => {
  expect(found(ALL, "")).toEqual(["AAPL", "BTC", "MON", "OLD"]);
  expect(found(ALL, "b")).toEqual(["BTC"]);
  expect(found(ALL, "btc 1H")).toEqual(["BTC"]);
  expect(found(ALL, "o")[0]).toBe("OLD");
  expect(found(ALL, "csv 3d")).toEqual(["OLD"]);
  expect(found(ALL, "nothing")).toEqual([]);
});
