// How much of a run is in view while one follows it, and how its newest bar gets there.

import type { Status, Speed } from "../../live/picture";

/** A bar is in view for about so long; bars that go by faster would only flicker. */
const IN_VIEW_S = 4;
const LEAST = 150;
const MOST = 4_000;
/** What is told ten times a second comes to the chart evenly, about so much later. */
const BEHIND_MS = 80;
const JUMP_S = 1;

/** How many bars are in view; null: all until now. Where it stands still it stays as it was, unless somebody steps. */
export function barsInView(status: Status, speed: Speed, steps: boolean, before: number | null): number | null {
  if (status === "completed" || status === "stopped" || status === "failed") return before;
  if (status !== "running") return steps ? LEAST : before;
  return speed === "max" ? null : Math.min(MOST, Math.max(LEAST, Math.round(IN_VIEW_S * speed)));
}

/** Where the newest bar is to be drawn in the next frame: on the way to where it is, at once where somebody jumped. */
export function nextShown(shown: number | null, told: number | null, stepMs: number, speed: Speed, frameMs = 16): number | null {
  if (shown === null || told === null || told <= shown || speed === "max") return told;
  const ahead = told - shown;
  if (ahead > Math.max(2, JUMP_S * speed) * stepMs) return told;
  const share = 1 - Math.exp(-frameMs / BEHIND_MS);
  return Math.min(told, shown + Math.max(stepMs, Math.ceil((share * ahead) / stepMs) * stepMs));
}
