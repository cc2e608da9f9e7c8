import { expect, it } from "vitest";
import { linear, shade, span, strong, ticks, timeMarks } from "./scales";

it("divides a span at round values within its ends", () => {
  expect(ticks(0, 10)).toEqual([0, 2, 4, 6, 8, 10]);
  expect(ticks(-0.3, 0.31, 4)).toEqual([-0.2, 0, 0.2]);
  expect(ticks(3, 3)).toEqual([3]);
  expect(ticks(NaN, 1)).toEqual([]);
  for (const [min, max] of [[-1e-7, 3e-7], [5, 1e9], [-70.5, 219.7]] as const) {
    const found = ticks(min, max);
    expect(found.length).toBeGreaterThan(1);
    expect(found.length).toBeLessThan(8);
    expect(found.every((one) => one >= min - 1e-12 && one <= max + 1e-12)).toBe(true);
  }
});

it("places values in a line, and one alone in the middle", () => {
  expect(linear([0, 10], [100, 0])(2.5)).toBe(75);
  expect(linear([4, 4], [0, 50])(4)).toBe(25);
});

it("spans what is finite, and something where there is nothing", () => {
  expect(span([1, null, NaN, 5])).toEqual([1, 5]);
  expect(span([])).toEqual([0, 1]);
  expect(span([0, 0])).toEqual([-1, 1]);
  expect(span([2, 4], 0, [0])).toEqual([0, 4]);
});

it("shades by size and sign, nothing for nothing", () => {
  expect(shade(null, 1)).toBe("transparent");
  expect(shade(0, 1)).toBe("transparent");
  expect(shade(0.5, 1)).toContain("--above) 34%");
  expect(shade(-9, 1)).toContain("--below) 60%");
  expect(strong([0, null])).toBe(1);
  expect(strong([...Array.from({ length: 99 }, () => 0.01), 5])).toBe(0.01);
});

const at = (...texts: string[]) => texts.map((text) => Date.parse(`${text}Z`));
const DAY = 86_400_000;

it("names times so that nobody takes a day for a month, and tells the year where it changes", () => {
  expect(timeMarks(at("2023-01-01T00:00", "2024-01-01T00:00"), 365 * DAY)).toEqual(["2023", "2024"]);
  expect(timeMarks(at("2023-11-01T00:00", "2024-01-01T00:00", "2024-03-01T00:00"), 61 * DAY)).toEqual(["Nov 2023", "2024", "Mar"]);
  expect(timeMarks(at("2000-09-01T00:00", "2001-03-01T00:00", "2001-09-01T00:00"), 183 * DAY)).toEqual(["Sep 2000", "Mar 2001", "Sep"]);
  expect(timeMarks(at("2023-12-29T00:00", "2024-01-01T00:00", "2024-03-01T00:00"), DAY)).toEqual(["29 Dec", "2024", "1 Mar"]);
  expect(timeMarks(at("2023-12-28T00:00", "2024-01-04T00:00"), 7 * DAY)).toEqual(["28 Dec", "4 Jan 2024"]);
  expect(timeMarks(at("2023-12-31T18:00", "2024-01-01T00:00", "2024-01-01T06:30"), DAY / 4)).toEqual(["18:00", "1 Jan 2024", "06:30"]);
  expect(timeMarks(at("2024-01-01T00:00:30"), 1000)).toEqual(["00:00:30"]);
});
