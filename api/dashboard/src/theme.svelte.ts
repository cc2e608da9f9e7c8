// Dark or light: as the system says, or as was chosen here.

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
  #chosen = $state<Theme | null>(chosen());
  #system = $state<Theme>(system.matches ? "light" : "dark");

  constructor() {
    system.addEventListener("change", () => (this.#system = system.matches ? "light" : "dark"));
    addEventListener("storage", (event) => {
      if (event.key === KEY || event.key === null) this.#chosen = chosen();
    });
  }

  get theme(): Theme {
    return this.#chosen ?? this.#system;
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
