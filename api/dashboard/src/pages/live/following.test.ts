import { expect, it } from "vitest";
import { barsInView, nextShown } from "./following";

it("shows as many bars as go by in a few seconds, all at full speed, and few where one steps", () => {
  expect([1, 100, 1_000, "max"].map((speed) => barsInView("running", speed as number, false, 150))).toEqual([150, 400, 4_000, null]);
  expect([barsInView("paused", 1_000, false, 4_000), barsInView("paused", 1_000, true, 4_000), barsInView("completed", "max", false, null)]).toEqual([4_000, 150, null]);
});

it("brings what is told to the chart within some frames, never beyond it, and jumps where one went", () => {
  let shown: number | null = 0;
  const seen: (number | null)[] = [];
  for (let frame = 0; frame < 40 && shown !== 100; frame += 1) seen.push((shown = nextShown(shown, 100, 1, 1_000)));
  expect(seen.at(-1)).toBe(100);
  expect(seen.length).toBeGreaterThan(6);
  expect(nextShown(0, 100, 1, 1_000, 400)).toBeGreaterThan(98);
  expect(seen.every((one, at) => one! <= 100 && (at === 0 || one! > seen[at - 1]!))).toBe(true);
  expect([nextShown(null, 5, 1, 10), nextShown(90, 5, 1, 10), nextShown(0, 5_000, 1, 1_000), nextShown(0, 50, 1, "max"), nextShown(3, null, 1, 10)]).toEqual([5, 5, 5_000, 50, null]);
});
