// Where an indicator is drawn: on the price, where its values are prices, else in a pane with what is of its kind.

export interface Valued {
  low: number;
  high: number;
  indicators?: Record<string, number | null>;
}

/** Before so many values its place may change. */
export const SURE_FROM = 5;
const PANES_MAX = 3;

/** The names of the indicators, in the order in which they first come. */
export function namesOf(candles: readonly Valued[]): string[] {
  const names = new Set<string>();
  for (const one of candles) for (const name in one.indicators) names.add(name);
  return [...names];
}

/** "price", or the name of a pane; null while there is no value; `sure` where enough values say so. */
export function placeOf(name: string, candles: readonly Valued[]): { place: string; sure: boolean } | null {
  let [values, near, top] = [0, 0, 0];
  let percent = true;
  for (const { indicators, low, high } of candles) {
    const value = indicators?.[name];
    if (value === null || value === undefined) continue;
    values += 1;
    if (value >= 0.5 * low && value <= 2 * high) near += 1;
    percent &&= value >= 0 && value <= 100;
    top = Math.max(top, value);
  }
  if (!values) return null;
  const word = /^[\p{L}_]+/u.exec(name)?.[0].toLowerCase() ?? name;
  const sure = values >= SURE_FROM;
  if (!NO_PRICE.has(word) && near >= 0.8 * values) return { place: "price", sure };
  return { place: percent && top > 1 ? "0–100" : word, sure };
}

/** Known by name: where prices are about 50, the values of an oscillator look like them. */
const NO_PRICE = new Set(["rsi", "adx", "stoch", "stochastic", "mfi", "aroon", "cci", "williams", "momentum", "roc", "volume", "atr", "macd", "zscore", "score"]);

/** At most so many panes: what is beyond shares the last. */
export function panesOf(places: readonly string[]): string[] {
  const panes = [...new Set(places.filter((one) => one !== "price"))];
  return panes.length <= PANES_MAX ? panes : [...panes.slice(0, PANES_MAX - 1), panes.slice(PANES_MAX - 1).join(", ")];
}
