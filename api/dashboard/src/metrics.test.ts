import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { expect, it } from "vitest";
import { exact, figure, GROUPS, metric, METRICS } from "./metrics";

// The names stand as headings of the second level; what an analysis adds stands below, on the third.
const page = readFileSync(resolve(import.meta.dirname, "../../../docs/metrics.md"), "utf8");
const documented = [...page.matchAll(/^## `(\w+)`$/gm)].map((found) => found[1]!);

it("knows every figure that is documented, and no other", () => {
  expect(documented.length).toBeGreaterThan(30);
  expect(Object.keys(METRICS).sort()).toEqual([...documented].sort());
});

it("says of each what it is called and what it means", () => {
  for (const [name, one] of Object.entries(METRICS)) {
    expect(one.means.length, name).toBeGreaterThan(10);
    expect(GROUPS[one.group], name).toBeTruthy();
  }
  expect(new Set(Object.values(METRICS).map((one) => one.title)).size).toBe(documented.length);
});

it("writes figures in their unit", () => {
  expect(figure("totalReturn", 1042.587762117489)).toBe("+1,042.59 %");
  expect(figure("totalReturn", -3)).toBe("−3.00 %");
  expect(figure("maxDrawdown", -70.58983)).toBe("−70.59 %");
  expect(figure("sharpeRatio", -1e300)).toBe("−1.00e+300");
  expect(figure("beta", -0.0042)).toBe("−0.0042");
  expect(figure("beta", -0.000001)).toBe("0.0000");
  expect(figure("expectancy", 0.0039)).toBe("+0.0039");
  expect(figure("totalTrades", 17)).toBe("17");
  expect(figure("averageHolding", 186.235)).toBe("186 days");
  expect(figure("averageHolding", 1)).toBe("1 day");
  expect(figure("sharpeRatio", null)).toBe("undefined");
  expect(figure("profitFactor", Infinity)).toBe("undefined");
  expect(exact("totalReturn", 1042.587762117489)).toBe("1042.587762117489 %");
});

it("shows a figure it has never heard of under its name", () => {
  expect(metric("luck").title).toBe("luck");
  expect(figure("luck", 0.5)).toBe("0.50");
});
