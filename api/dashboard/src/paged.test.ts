import { describe, expect, it } from "vitest";
import { Paged, type Page } from "./paged.svelte";

const pages: Record<string, Page<number>> = { first: { items: [1, 2], nextCursor: "b" }, b: { items: [3], nextCursor: null } };
const get = ({ cursor }: { cursor: string | null }) => Promise.resolve(pages[cursor ?? "first"]!);

describe("a list by pages", () => {
  it("grows by the page behind its cursor, and begins anew without one", async () => {
    const list = new Paged<number>(get);
    expect(list.loaded).toBe(false);
    await list.more(null);
    expect([list.items, list.cursor, list.loaded]).toEqual([[1, 2], "b", true]);
    await list.more(list.cursor);
    expect([list.items, list.cursor, list.busy]).toEqual([[1, 2, 3], null, false]);
    await list.more(null);
    expect(list.items).toEqual([1, 2]);
  });

  it("keeps what it has where a page does not come, and says why until one does", async () => {
    let fails = false;
    const list = new Paged<number>((ask) => (fails ? Promise.reject(new Error("away")) : get(ask)));
    await list.more(null);
    fails = true;
    await list.more("b");
    expect([list.items, list.cursor, list.busy, String(list.problem)]).toEqual([[1, 2], "b", false, "Error: away"]);
    fails = false;
    await list.more("b");
    expect([list.items, list.problem]).toEqual([[1, 2, 3], null]);
  });

  it("takes nothing of what was left", async () => {
    const left = new AbortController();
    const list = new Paged<number>(get);
    const under = list.more(null, left.signal);
    left.abort();
    await under;
    expect([list.items, list.loaded, list.problem]).toEqual([[], false, null]);
  });
});
