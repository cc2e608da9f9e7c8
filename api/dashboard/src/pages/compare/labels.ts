// What a backtest is called where there are several: who trades, how that one was set, and on what.

const SETTINGS_CHARS_MAX = 48;

interface Named {
  params: Record<string, unknown>;
  labels?: Record<string, string> | null;
}

/** "sma_crossover (fast 5, slow 30) IBM 1d". */
export function labelOf(backtest: Named): string {
  const { params, labels } = backtest;
  const strategies = Array.isArray(params["strategies"]) ? params["strategies"].join(" + ") : "";
  const given = settingsOf(params["strategyParams"]);
  return [labels?.["agentName"] || strategies || "agent", given && `(${given})`, params["symbol"], params["interval"]].filter(Boolean).join(" ");
}

/** As many of the strategies' settings as are read at a glance. */
function settingsOf(strategyParams: unknown): string {
  let text = "";
  for (const settings of Object.values((strategyParams ?? {}) as Record<string, unknown>))
    for (const [name, value] of Object.entries((settings ?? {}) as Record<string, unknown>)) {
      if (typeof value === "object") continue;
      const next = `${text ? `${text}, ` : ""}${name} ${String(value)}`;
      if (next.length > SETTINGS_CHARS_MAX) return `${text || next.slice(0, SETTINGS_CHARS_MAX)} …`;
      text = next;
    }
  return text;
}
