// Dark or light: as the system says, or as was chosen here.

import { flushSync } from "svelte";

export type Theme = "dark" | "light";
const KEY = "backfleet.theme";
const system = matchMedia("(prefers-color-scheme: light)");

function chosen(): Theme | null {
  try {
    const kept = localStorage.getItem(KEY);
    return kept === "dark" || kept === "light" ? kept : null;
  } catch {
    return null; // The browser stores nothing for this page: then it is as the system says.
  }
}

class Look {
  /** On its way to paper: light, and canvases are drawn anew before the browser takes its picture. */
  printing = $state(false);
  #chosen = $state<Theme | null>(chosen());
  #system = $state<Theme>(system.matches ? "light" : "dark");

  constructor() {
    system.addEventListener("change", () => (this.#system = system.matches ? "light" : "dark"));
    addEventListener("storage", (event) => {
      if (event.key === KEY || event.key === null) this.#chosen = chosen();
    });
    addEventListener("beforeprint", () => flushSync(() => (this.printing = true)));
    addEventListener("afterprint", () => (this.printing = false));
  }

  get theme(): Theme {
    return this.printing ? "light" : (this.#chosen ?? this.#system);
  }

  toggle(): void {
    this.#chosen = this.theme === "dark" ? "light" : "dark";
    try {
      localStorage.setItem(KEY, this.#chosen);
    } catch {
      // It holds for as long as the page is open.
    }
  }
}

export const look = new Look();

/** A colour of the theme, for canvases: `colour("series-1")`. Read `look.theme` beside it to be told of changes. */
export function colour(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}
