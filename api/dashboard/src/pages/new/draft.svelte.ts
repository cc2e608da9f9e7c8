// What has been filled in, kept for this tab: a reload, an error or a login that ended loses nothing of it.

import { type Json, type JsonObject, plain, valueAt, withAt } from "../../forms/schema";

const KEY = "backfleet.new";

interface Kept {
  given: JsonObject;
  /** The link that it began with. */
  origin: string;
  /** Whose it is: who signs in next in this tab has another. */
  user: string;
}

function kept(): Kept | null {
  try {
    const found = JSON.parse(sessionStorage.getItem(KEY) ?? "null") as Kept | null;
    return found && plain(found.given) ? found : null;
  } catch {
    return null;
  }
}

export class Draft {
  given = $state.raw<JsonObject>({});
  #origin = "";

  /** What was kept for this user and link; a link that says nothing takes whatever there is. */
  restore(user: string, origin: string): boolean {
    const found = kept();
    if (!found || found.user !== user || (origin && found.origin !== origin)) return false;
    this.given = found.given;
    this.#origin = found.origin;
    return true;
  }

  begin(origin: string): void {
    this.given = {};
    this.#origin = origin;
  }

  keep(user: string): void {
    try {
      sessionStorage.setItem(KEY, JSON.stringify({ given: this.given, origin: this.#origin, user } satisfies Kept));
    } catch {
      // Full or forbidden: it lasts as long as the page then.
    }
  }

  value = (path: readonly string[]): Json | undefined => valueAt(this.given, path);

  set = (path: readonly string[], value: Json | undefined): void => {
    this.given = (withAt(this.given, path, value) ?? {}) as JsonObject;
  };

  put(changes: Record<string, Json | undefined>): void {
    for (const [name, value] of Object.entries(changes)) this.set([name], value);
  }
}
