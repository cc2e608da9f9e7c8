// What is missing in series, as runs on them judge it, by the hash of their bars.

import { get } from "../../http";
import { Lazily } from "../../lazily.svelte";
import type { Gaps, Series } from "./series";

const DRAWN_MAX = 1_000;

export const gapsKept = new Lazily<Gaps>();

export async function askGaps({ symbol, interval }: Series): Promise<Gaps> {
  return get("/api/algo/data/{symbol}/{interval}/gaps", { path: { symbol, interval }, query: { limit: DRAWN_MAX } });
}

/** Where a gateway does not say: every bar that is not there, and the largest gaps, as the list has them. */
export function gapsListed(one: Series): Gaps {
  const gaps = one.gaps.largest.map((gap) => ({ from: gap.start, to: gap.end, bars: gap.missingBars }));
  gaps.sort((left, right) => left.from.localeCompare(right.from));
  return { bars: one.bars, start: one.start, end: one.end, expectedBars: one.bars + one.gaps.missingBars, total: one.gaps.count, gaps };
}
