import { describe, expect, it } from "vitest";
import { secondsBetween, slotsOf, ticksTo } from "./fleet";

const worker = (slots: number, busy: number, draining = false) => ({
  id: "w", host: "h", version: "1", slots, busy, draining, since: "2026-01-01T00:00:00Z", lastSeen: "2026-01-01T00:00:00Z",
});

describe("the fleet's figures", () => {
  it("counts no free slot of a worker that takes no more", () => {
    expect(slotsOf([worker(4, 1), worker(4, 1, true)])).toEqual({ busy: 2, slots: 8, free: 3 });
  });
  it("never has a worker heard in the future", () => {
    expect(secondsBetween("2026-01-01T00:00:02Z", "2026-01-01T00:00:01Z")).toBe(0);
    expect(secondsBetween("2026-01-01T00:00:00Z", "2026-01-01T00:00:01.500Z")).toBe(1.5);
  });
  it.each([
    [0, [0, 1]],
    [1, [0, 1]],
    [4, [0, 1, 2, 3, 4]],
    [7, [0, 2, 4, 6, 8]],
    [90, [0, 50, 100]],
    [1234, [0, 500, 1000, 1500]],
  ])("draws lines up to %i at round numbers", (most, ticks) => expect(ticksTo(most)).toEqual(ticks));
});
