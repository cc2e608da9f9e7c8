// What differs between the requests of several runs, at every depth.

export interface Difference {
  /** Dotted, as refusals name fields: `strategyParams.rsi.period`. */
  path: string;
  /** One for each run, as text; undefined where it has none. */
  values: (string | undefined)[];
}

export function differences(requests: Record<string, unknown>[]): { differing: Difference[]; equal: Difference[] } {
  const flat = requests.map((one) => {
    const found = new Map<string, string>();
    flatten(one, "", found);
    return found;
  });
  const paths = [...new Set(flat.flatMap((one) => [...one.keys()]))];
  const all = paths.map((path) => ({ path, values: flat.map((one) => one.get(path)) }));
  const isEqual = ({ values }: Difference) => values.every((one) => one === values[0]);
  return { differing: all.filter((one) => !isEqual(one)), equal: all.filter(isEqual) };
}

/** Lists of plain values are one value; those of objects are taken apart. */
function flatten(value: unknown, path: string, into: Map<string, string>): void {
  const nested = typeof value === "object" && value !== null && (Array.isArray(value) ? value.some((one) => typeof one === "object" && one !== null) : true);
  const entries = nested ? Object.entries(value as object) : [];
  if (nested && entries.length) for (const [name, one] of entries) flatten(one, path ? `${path}.${name}` : name, into);
  else if (path && !nested) into.set(path, shown(value));
}

function shown(value: unknown): string {
  if (Array.isArray(value)) return value.length ? value.map(shown).join(", ") : "none";
  if (value === null) return "none";
  if (typeof value === "boolean") return value ? "yes" : "no";
  return String(value);
}
