// Numbers to places and colours. Pure.

/** Round values that divide a span: at most `most` and a bit of them, none beyond its ends. */
export function ticks(min: number, max: number, most = 5): number[] {
  if (!Number.isFinite(min) || !Number.isFinite(max) || max < min) return [];
  if (max === min) return [min];
  const rough = (max - min) / Math.max(1, most);
  const power = 10 ** Math.floor(Math.log10(rough));
  const width = [1, 2, 2.5, 5, 10].map((one) => one * power).find((one) => one >= rough * 0.999_999) ?? 10 * power;
  const first = Math.ceil(min / width - 1e-9);
  const last = Math.floor(max / width + 1e-9);
  return Array.from({ length: last - first + 1 }, (_, at) => Number(((first + at) * width).toPrecision(12)) + 0);
}

export type Place = (value: number) => number;

/** Linear; all in the middle where the span is nothing. */
export function linear([from, to]: readonly [number, number], [start, end]: readonly [number, number]): Place {
  return from === to ? () => (start + end) / 2 : (value) => start + ((value - from) / (to - from)) * (end - start);
}

/** Smallest and largest of what is finite; a little room at both ends. */
export function span(values: Iterable<number | null>, room = 0, also: number[] = []): [number, number] {
  let min = Infinity;
  let max = -Infinity;
  for (const value of [...also, ...values]) {
    if (value === null || !Number.isFinite(value)) continue;
    if (value < min) min = value;
    if (value > max) max = value;
  }
  if (min > max) return [0, 1];
  if (min === max) return min === 0 ? [-1, 1] : [min - Math.abs(min) * 0.1, max + Math.abs(max) * 0.1];
  return [min - (max - min) * room, max + (max - min) * room];
}

/** What counts as a strong value: most are below it, so that one month out of line does not make the others pale. */
export function strong(values: Iterable<number | null>): number {
  const sizes = [...values].flatMap((value) => (value === null || !Number.isFinite(value) || value === 0 ? [] : [Math.abs(value)])).sort((a, b) => a - b);
  return sizes[Math.min(sizes.length - 1, Math.floor(sizes.length * 0.9))] ?? 1;
}

/** A cell's background, from the surface to blue above zero and to orange below: also for who tells red from green badly. */
export function shade(value: number | null, limit: number): string {
  if (value === null || !Number.isFinite(value) || value === 0) return "transparent";
  const share = Math.min(1, Math.abs(value) / (limit || 1));
  return `color-mix(in srgb, var(--${value > 0 ? "above" : "below"}) ${Math.round(8 + share * 52)}%, var(--surface))`;
}

const DAY_MS = 86_400_000;
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/** What a time axis says at its marks, `stepMs` apart: 2024, Mar, 7 Mar, 14:30; the year where it is another one. Days and
 * months are never figures alone, which half of the world reads the other way round. */
export function timeMarks(marks: readonly number[], stepMs: number): string[] {
  let before: number | null = null;
  return marks.map((mark) => {
    const at = new Date(mark);
    const year = at.getUTCFullYear();
    const turned = before !== null && before !== year;
    const first = before === null;
    before = year;
    const month = MONTHS[at.getUTCMonth()]!;
    if (stepMs < DAY_MS && mark % DAY_MS !== 0) return at.toISOString().slice(11, stepMs < 60_000 ? 19 : 16);
    const newYear = at.getUTCMonth() === 0 && at.getUTCDate() === 1;
    if (stepMs >= 360 * DAY_MS || (newYear && stepMs >= DAY_MS)) return String(year);
    const text = stepMs >= 28 * DAY_MS ? month : `${at.getUTCDate()} ${month}`;
    return turned || (first && stepMs >= 28 * DAY_MS) ? `${text} ${year}` : text;
  });
}
