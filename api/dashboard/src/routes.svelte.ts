// Which page is shown, as the fragment of the URL says: `#/backtests/bt_…?tab=trades`. A fragment works under every path
// that a proxy may put before it, and is never sent to a server.

export type Query = Record<string, string>;

export interface Route {
  /** Without its beginning: ["backtests", "bt_…"]. */
  path: string[];
  query: Query;
}

export function parseRoute(hash: string): Route {
  const [path = "", query = ""] = hash.replace(/^#\/?/, "").split(/\?(.*)/s);
  return {
    path: path.split("/").filter(Boolean).map(decoded),
    query: Object.fromEntries(new URLSearchParams(query)),
  };
}

/** Nobody's link is an exception: what is no escape stays as it is. */
function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** A link to a page: `href(["backtests", id], { tab: "trades" })`. What is undefined or empty is left out. */
export function href(path: string[], query: Record<string, string | number | undefined> = {}): string {
  const kept = Object.entries(query).flatMap(([name, value]) =>
    value === undefined || value === "" ? [] : [[name, String(value)] as [string, string]],
  );
  const asked = new URLSearchParams(kept).toString();
  return `#/${path.map(encodeURIComponent).join("/")}${asked ? `?${asked}` : ""}`;
}

class Router {
  current = $state.raw<Route>(parseRoute(location.hash));

  constructor() {
    addEventListener("hashchange", () => (this.current = parseRoute(location.hash)));
  }

  go(path: string[], query: Record<string, string | number | undefined> = {}): void {
    location.hash = href(path, query);
  }

  /** Changes the query of this page without a new entry in the history; undefined removes. */
  ask(changes: Record<string, string | number | undefined>): void {
    this.replace(this.current.path, { ...this.current.query, ...changes });
  }

  replace(path: string[], query: Record<string, string | number | undefined> = {}): void {
    history.replaceState(history.state, "", href(path, query));
    this.current = parseRoute(location.hash);
  }
}

export const router = new Router();
