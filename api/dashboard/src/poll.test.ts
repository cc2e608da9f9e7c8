import { mount, unmount } from "svelte";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Problem } from "./problem";
import { Poll, restMs } from "./poll.svelte";

let hidden = false;
beforeEach(() => {
  vi.useFakeTimers();
  hidden = false;
  Object.defineProperty(document, "hidden", { configurable: true, get: () => hidden });
});
afterEach(() => vi.useRealTimers());

function polling(ask: (signal: AbortSignal) => Promise<number>): { poll: Poll<number>; end: () => Promise<void> } {
  let poll!: Poll<number>;
  // What a component's beginning does, without a component's file.
  const one = mount((() => (poll = new Poll(ask, 1_000))) as never, { target: document.body });
  return { poll, end: () => unmount(one) };
}
const look = (away: boolean) => {
  hidden = away;
  document.dispatchEvent(new Event("visibilitychange"));
};

describe("a poll", () => {
  it("asks once at a time, again after a rest, and not at all while nobody looks", async () => {
    const ask = vi.fn(() => Promise.resolve(7));
    const { poll, end } = polling(ask);
    await vi.advanceTimersByTimeAsync(0);
    expect(poll.value).toBe(7);
    await vi.advanceTimersByTimeAsync(2_500);
    expect(ask).toHaveBeenCalledTimes(3);
    look(true);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(ask).toHaveBeenCalledTimes(3);
    look(false);
    await vi.advanceTimersByTimeAsync(0);
    expect(ask).toHaveBeenCalledTimes(4);
    await end();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(ask).toHaveBeenCalledTimes(4);
  });
  it("keeps what it knew while it fails, and says when an answer is late", async () => {
    const answers: [() => Promise<number>, ...(() => Promise<number>)[]] = [
      () => Promise.resolve(1),
      () => Promise.reject(new Problem(503, "unavailable", "away")),
      () => new Promise(() => undefined),
    ];
    const { poll, end } = polling(() => answers.shift()!());
    await vi.advanceTimersByTimeAsync(1_000);
    expect(poll.value).toBe(1);
    expect((poll.problem as Problem).message).toBe("away");
    await vi.advanceTimersByTimeAsync(2_000 + 4_000);
    expect(poll.late).toBe(false);
    await vi.advanceTimersByTimeAsync(2_000);
    expect(poll.late).toBe(true);
    expect(poll.value).toBe(1);
    await end();
  });
  it("is the more patient the longer it fails, within bounds", () => {
    expect(restMs(2_000, 0)).toBe(2_000);
    expect(restMs(2_000, 2)).toBe(8_000);
    expect(restMs(2_000, 99)).toBe(30_000);
    expect(restMs(2_000, 1, 10)).toBe(10_000);
    expect(restMs(2_000, 1, 9_999)).toBe(30_000);
  });
});
