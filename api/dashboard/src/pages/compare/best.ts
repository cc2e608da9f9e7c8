// Which of several runs is best by a figure.

import { GROUPS, METRICS, metric, type Group } from "../../metrics";

/** Figures that differ by no more are equal: sums in another order end in other last digits. */
const RELATIVE = 1e-12;

/**
 * The best of a figure, several where they are equal. None where neither more nor less of it is better by itself, where
 * fewer than two are known, and where all that are known are equal.
 */
export function bestOf(name: string, values: readonly unknown[]): Set<number> {
  const { better } = metric(name);
  const known = values.flatMap((one, index) => (typeof one === "number" && Number.isFinite(one) ? [{ one, index }] : []));
  if (!better || known.length < 2) return new Set();
  const sign = better === "higher" ? 1 : -1;
  const most = Math.max(...known.map(({ one }) => sign * one));
  const best = known.filter(({ one }) => most - sign * one <= RELATIVE * Math.max(1, Math.abs(most)));
  return new Set(best.length === known.length ? [] : best.map(({ index }) => index));
}

/** All figures that any of the runs has, by group and in the order of the table that explains them. */
export function figureRows(all: readonly (Record<string, unknown> | null)[]): { title: string; names: string[] }[] {
  const known = new Set(all.flatMap((one) => Object.keys(one ?? {}).filter((name) => typeof one?.[name] !== "object" || one[name] === null)));
  const ordered = [...Object.keys(METRICS).filter((name) => known.has(name)), ...[...known].filter((name) => !(name in METRICS))];
  return (Object.keys(GROUPS) as Group[]).flatMap((group) => {
    const names = ordered.filter((name) => metric(name).group === group);
    return names.length ? [{ title: GROUPS[group], names }] : [];
  });
}
