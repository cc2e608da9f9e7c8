import { expect, it, vi } from "vitest";
import { Problem } from "../http";
import { Steering, type Answer, type Command } from "./steering.svelte";

const done: Answer = { status: "paused", done: true, speed: 10, progress: 1 };
const settle = () => new Promise((resolve) => setTimeout(resolve));

function steered(answers: (command: Command & { commandId: string }) => Promise<Answer>) {
  const sent: (Command & { commandId: string })[] = [];
  const steering = new Steering(
    (command) => (sent.push(command), answers(command)),
    () => undefined,
  );
  return { steering, sent };
}

it("sends one command at a time, and steps that wait as one", async () => {
  let answer = (_: Answer) => {};
  const { steering, sent } = steered(() => new Promise((resolve) => (answer = resolve)));
  for (let press = 0; press < 5; press += 1) steering.ask({ action: "step", bars: 1 });
  steering.ask({ action: "step", bars: 10 });
  expect(sent).toMatchObject([{ action: "step", bars: 1 }]);
  answer(done);
  await settle();
  expect(sent).toMatchObject([{ bars: 1 }, { action: "step", bars: 14 }]);
  expect(sent[0]!.commandId).not.toBe(sent[1]!.commandId);
  answer(done);
  await settle();
  expect([steering.underWay, steering.refusal]).toEqual([null, ""]);
});

it("keeps no more than it may, and says so", () => {
  const { steering } = steered(() => new Promise(() => undefined));
  steering.ask({ action: "pause" });
  expect(steering.ask({ action: "step", bars: 1_000 })).toBe(true);
  expect(steering.ask({ action: "step", bars: 1 })).toBe(false);
  expect(steering.refusal).toMatch(/Too many/);
});

it("seeks only to where one went last", async () => {
  let answer = (_: Answer) => {};
  const { steering, sent } = steered(() => new Promise((resolve) => (answer = resolve)));
  for (const bar of [1, 2, 3, 4]) steering.ask({ action: "seek", bar });
  answer(done);
  await settle();
  expect(sent).toMatchObject([{ bar: 1 }, { bar: 4 }]);
});

it("says in words why a command is refused, and forgets what waited behind it", async () => {
  const { steering, sent } = steered(() => Promise.reject(new Problem(409, "conflict", "It is paused already.")));
  steering.ask({ action: "pause" });
  steering.ask({ action: "step", bars: 1 });
  await settle();
  expect([sent.length, steering.refusal, steering.underWay]).toEqual([1, "It is paused already.", null]);
});

it("waits for the run's word where the answer came first", async () => {
  vi.useFakeTimers();
  const { steering, sent } = steered(() => Promise.resolve({ ...done, done: false }));
  steering.ask({ action: "pause" });
  await vi.advanceTimersByTimeAsync(1_000);
  expect(steering.underWay).not.toBe(null);
  steering.hear("cmd_another");
  steering.hear(sent[0]!.commandId);
  await vi.advanceTimersByTimeAsync(0);
  expect([steering.underWay, steering.refusal]).toEqual([null, ""]);
  steering.ask({ action: "resume" });
  await vi.advanceTimersByTimeAsync(16_000);
  expect(steering.refusal).toMatch(/has not heard/);
  vi.useRealTimers();
});
