import { describe, expect, it } from "vitest";
import { Lazily } from "./lazily.svelte";
import { Problem } from "./problem";

const settled = () => new Promise((done) => setTimeout(done));

describe("what is asked for lazily", () => {
  it("is asked for once, a few at a time, the last wanted first", async () => {
    const kept = new Lazily<string>();
    const asked: string[] = [];
    const open: (() => void)[] = [];
    for (const key of ["a", "b", "c", "d", "e", "e"])
      kept.want(key, () => (asked.push(key), new Promise((good) => open.push(() => good(key.toUpperCase())))));
    expect(asked).toEqual(["a", "b", "c"]);
    open[0]!();
    await settled();
    expect(asked).toEqual(["a", "b", "c", "e"]);
    expect(kept.of("a")).toBe("A");
    expect(kept.of("b")).toBeUndefined();
    kept.forget();
    for (const one of open) one();
    await settled();
    expect(asked).not.toContain("d");
  });
  it("stays unknown where a server was away, and is not to be had where it was refused", async () => {
    const kept = new Lazily<string>();
    kept.want("away", () => Promise.reject(new Problem(503, "unavailable", "")));
    kept.want("gone", () => Promise.reject(new Problem(404, "not_found", "")));
    await settled();
    expect(kept.of("away")).toBeUndefined();
    expect(kept.of("gone")).toBeNull();
  });
});
