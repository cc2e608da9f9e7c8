import { expect, it } from "vitest";
import { thinned } from "./overlay";
import { namesOf, panesOf, placeOf } from "./placing";

const bars = (price: number, values: (at: number) => Record<string, number | null>) => Array.from({ length: 20 }, (_, at) => ({ low: price - 1, high: price + 1, indicators: values(at) }));

it("puts on the price what is a price, and elsewhere what is not", () => {
  const candles = bars(42_000, (at) => ({ "sma 10": 41_000 + at, "rsi 14": at < 3 ? null : 30 + at, "macd 12 26": at - 10, "zscore 20": -1.5 }));
  expect(namesOf(candles)).toEqual(["sma 10", "rsi 14", "macd 12 26", "zscore 20"]);
  expect(namesOf(candles).map((name) => placeOf(name, candles)?.place)).toEqual(["price", "0–100", "macd", "zscore"]);
  expect(placeOf("rsi 14", bars(50, () => ({ "rsi 14": 52 })))?.place).toBe("0–100");
});

it("is not sure of a place before there are values", () => {
  expect(placeOf("sma 10", bars(10, (at) => ({ "sma 10": at < 18 ? null : 10 })))).toEqual({ place: "price", sure: false });
  expect(placeOf("sma 10", bars(10, () => ({ "sma 10": null })))).toBe(null);
});

it("never makes more than three panes", () => {
  expect(panesOf(["price", "a", "b", "a", "c", "d"])).toEqual(["a", "b", "c, d"]);
});

it("keeps of marks in one place the one that weighs most", () => {
  const marks = Array.from({ length: 1_000 }, (_, at) => ({ at, weight: at === 503 ? 2 : 1 }));
  const kept = thinned(marks, (one) => Math.floor(one.at / 100), (one) => one.weight);
  expect(kept.map((one) => one.at)).toEqual([0, 100, 200, 300, 400, 503, 600, 700, 800, 900]);
});
