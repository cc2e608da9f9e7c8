import { expect, it } from "vitest";
import { bytes, fileName } from "./download";

it("takes the name of an answer, never a path", () => {
  expect(fileName('attachment; filename="bt_1-trades.csv"', "x")).toBe("bt_1-trades.csv");
  expect(fileName("attachment; filename=a.json", "x")).toBe("a.json");
  expect(fileName('attachment; filename="../../a"', "x")).toBe("x");
  expect(fileName(null, "x")).toBe("x");
});

it("writes sizes", () => {
  expect([512, 3100, 12_000_000].map(bytes)).toEqual(["512 B", "3.1 kB", "12.0 MB"]);
});
