// How long something lasts, as one reads it: "in 3 d 4 h", "ended".

import { duration } from "../../format";

const SOON_MS = 7 * 86_400_000;

export interface Ends {
  text: string;
  kind: "past" | "soon" | "later";
}

/** `now` is in milliseconds since 1970. */
export function ends(at: string, now: number): Ends {
  const leftMs = Date.parse(at) - now;
  if (!(leftMs > 0)) return { text: "ended", kind: "past" };
  return { text: `in ${duration(Math.max(leftMs / 1000, 60))}`, kind: leftMs < SOON_MS ? "soon" : "later" };
}
