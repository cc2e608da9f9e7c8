import { describe, expect, it } from "vitest";
import { compact, count, duration, instant, number, percent, price, signed } from "./format";

describe("numbers as people read them", () => {
  it.each([
    [number(1234.5), "1,234.50"],
    [number(null), "–"],
    [number(Number.NaN), "–"],
    [count(200_000), "200,000"],
    [price(67_500), "67,500.00"],
    [price(1.084321), "1.08432"],
    [price(0.00001234), "0.00001234"],
    [price(0), "0.00"],
    [percent(12.5), "12.50 %"],
    [signed(-3), "−3.00"],
    [signed(3), "+3.00"],
    [signed(0), "0.00"],
    [compact(1_250_000), "1.3M"],
    [duration(0.42), "0.4 s"],
    [duration(200), "3 min 20 s"],
    [duration(7_500), "2 h 5 min"],
    [duration(3_600), "1 h"],
    [instant(0), "1970-01-01 00:00"],
    [instant("2026-01-31T12:00:05Z"), "2026-01-31 12:00:05"],
    [instant(undefined), "–"],
  ])("%s is %s", (said, wanted) => expect(said).toBe(wanted));
});
