import { describe, expect, it } from "vitest";
import { PAGE_ROWS, Pages, scrollTo, shown, step, TALLEST_PX } from "./virtual";

const view = (total: number, scrollPx = 0) => ({ total, rowPx: 32, viewPx: 640, scrollPx });

describe("the window", () => {
  it("draws few rows, however many there are", () => {
    for (const total of [0, 1, 50, 200_000, 5_000_000])
      for (const share of [0, 0.3, 1]) {
        const seen = shown(view(total, share * Math.min(total * 32, TALLEST_PX)));
        expect(seen.end - seen.first).toBeLessThanOrEqual(34);
        expect(seen.end).toBeLessThanOrEqual(total);
        expect(seen.first).toBeGreaterThanOrEqual(0);
      }
  });

  it("stays below what browsers can draw, and still reaches the last row", () => {
    const end = shown(view(5_000_000, TALLEST_PX - 640));
    expect(end.heightPx).toBe(TALLEST_PX);
    expect(end.end).toBe(5_000_000);
    expect(end.topPx + (end.end - end.first) * 32).toBeCloseTo(TALLEST_PX, 3);
  });

  it("lays rows where they belong while no step is larger than a pixel", () => {
    const seen = shown(view(200_000, 3_200_000));
    expect(seen.topPx).toBe(seen.first * 32);
    expect(seen.first).toBe(100_000 - 6);
  });

  it("scrolls as little as it takes to see a row", () => {
    expect(scrollTo(5, view(1000, 0))).toBe(0);
    expect(scrollTo(20, view(1000, 0))).toBe(32);
    expect(scrollTo(3, view(1000, 640))).toBe(96);
    const long = view(5_000_000, 0);
    const to = scrollTo(2_500_000, long);
    const seen = shown({ ...long, scrollPx: to });
    expect(seen.first).toBeLessThanOrEqual(2_500_000);
    expect(seen.end).toBeGreaterThan(2_500_000);
  });

  it("goes by keys, and not beyond the ends", () => {
    expect(step("ArrowDown", 999, view(1000))).toBe(999);
    expect(step("ArrowUp", 0, view(1000))).toBe(0);
    expect(step("PageDown", 0, view(1000))).toBe(19);
    expect(step("End", 0, view(1000))).toBe(999);
    expect(step("x", 0, view(1000))).toBeNull();
    expect(step("End", 0, view(0))).toBeNull();
  });
});

describe("pages of rows", () => {
  const settled = () => new Promise((done) => setTimeout(done));

  it("asks for a page once and tells when it came", async () => {
    const asked: [number, number][] = [];
    let told = 0;
    const pages = new Pages(
      async (from, to) => (asked.push([from, to]), Array.from({ length: to - from }, (_, i) => from + i)),
      () => (told += 1),
    );
    pages.want(95, 110, 150);
    pages.want(95, 111, 150);
    expect(pages.row(100)).toBeUndefined();
    await settled();
    expect(asked).toEqual([[0, 100], [100, 150]]);
    expect(told).toBe(2);
    expect(pages.row(100)).toBe(100);
    expect(pages.row(149)).toBe(149);
  });

  it("gives up pages that nobody looks at any more, and never has many under way", async () => {
    const under = new Set<number>();
    let most = 0;
    const pages = new Pages<number>(
      (from, _, signal) =>
        new Promise((done, fail) => {
          under.add(from);
          most = Math.max(most, under.size);
          signal.addEventListener("abort", () => (under.delete(from), fail(signal.reason as Error)));
          void done;
        }),
      () => undefined,
    );
    for (let first = 0; first < 100_000; first += 700) pages.want(first, first + 40, 200_000);
    expect(most).toBeLessThanOrEqual(3);
    pages.close();
    await settled();
    expect(under.size).toBe(0);
    expect(pages.failed).toBeNull();
  });

  it("holds a bounded number of pages", () => {
    let asked = 0;
    const pages = new Pages<number>((from, to) => ((asked += 1), Array.from({ length: to - from }, (_, i) => from + i)), () => undefined);
    for (let page = 0; page < 200; page += 1) pages.want(page * PAGE_ROWS, page * PAGE_ROWS + 10, 20_000);
    expect(asked).toBe(200);
    let held = 0;
    for (let page = 0; page < 200; page += 1) if (pages.row(page * PAGE_ROWS) !== undefined) held += 1;
    expect(held).toBe(24);
  });

  it("stops at a refusal until it is asked again", async () => {
    let fails = true;
    let asked = 0;
    const pages: Pages<number> = new Pages<number>(
      async () => {
        asked += 1;
        if (fails) throw new Error("away");
        return [7];
      },
      () => undefined,
    );
    pages.want(0, 1, 1);
    await settled();
    pages.want(0, 1, 1);
    await settled();
    expect(asked).toBe(1);
    expect((pages.failed as Error).message).toBe("away");
    fails = false;
    pages.again();
    pages.want(0, 1, 1);
    await settled();
    expect(pages.row(0)).toBe(7);
  });
});
