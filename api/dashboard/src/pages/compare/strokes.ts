// How the lines of runs are told apart: eight colours, and where there are more runs, a way of dashing for each eight.

const COLOURS = 8;
const DASHES: number[][] = [[], [7, 4], [2, 3], [10, 3, 2, 3]];

export interface Stroke {
  colour: string;
  dash: number[];
}

export function strokeOf(slot: number): Stroke {
  return { colour: `series-${(slot % COLOURS) + 1}`, dash: DASHES[Math.floor(slot / COLOURS) % DASHES.length]! };
}
