// Dark or light: as the system says, or as was chosen here.

export type Theme = "dark" | "light";
const KEY = "backfleet.theme";
const system = matchMedia("(prefers-color-scheme: light)");

function chosen(): Theme | null {
  const kept = localStorage.getItem(KEY);
  return kept === "dark" || kept === "light" ? kept : null;
}

class Look {
  #chosen = $state<Theme | null>(chosen());
  #system = $state<Theme>(system.matches ? "light" : "dark");

  constructor() {
    system.addEventListener("change", () => (this.#system = system.matches ? "light" : "dark"));
    addEventListener("storage", (event) => {
      if (event.key === KEY) this.#chosen = chosen();
    });
  }

  get theme(): Theme {
    return this.#chosen ?? this.#system;
  }

  toggle(): void {
    this.#chosen = this.theme === "dark" ? "light" : "dark";
    localStorage.setItem(KEY, this.#chosen);
  }
}

export const look = new Look();

/** A colour of the theme, for canvases: `colour("series-1")`. Read `look.theme` beside it to be told of changes. */
export function colour(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}
