// Who is signed in: tokens of a login, or one token (or API key) that was pasted. Kept in localStorage, so that tabs share
// it; never in a URL that a server sees.

import type { components } from "./wire/openapi";

type LoggedIn = components["schemas"]["LoggedIn"];
export type Me = components["schemas"]["Me"];

interface Kept {
  token: string;
  /** Null for a token that was pasted: it ends when it ends. */
  refreshToken: string | null;
  /** Milliseconds since 1970 by this machine's clock; null where unknown. */
  endsAtMs: number | null;
}

const KEY = "backfleet.session";
const EARLY_MS = 60_000;

function kept(): Kept | null {
  try {
    return JSON.parse(localStorage.getItem(KEY) ?? "null") as Kept | null;
  } catch {
    return null;
  }
}

const api = (path: string) => new URL(`./api/${path}`, document.baseURI);

class Session {
  #kept = $state.raw<Kept | null>(kept());
  me = $state.raw<Me | null>(null);
  /** Why one has to sign in again, where there is something to say. */
  notice = $state("");
  #refreshing: Promise<void> | null = null;

  constructor() {
    addEventListener("storage", (event) => {
      if (event.key !== KEY) return;
      this.#kept = kept();
      if (!this.#kept) this.me = null;
    });
  }

  get signedIn(): boolean {
    return this.#kept !== null;
  }

  get token(): string | null {
    return this.#kept?.token ?? null;
  }

  get canRefresh(): boolean {
    return Boolean(this.#kept?.refreshToken);
  }

  /** The token, renewed where it is about to end, or where `anew` says that it was refused. */
  async freshToken(anew = false): Promise<string | null> {
    const now = this.#kept;
    if (!now?.refreshToken) return this.token;
    if (anew || (now.endsAtMs !== null && now.endsAtMs - EARLY_MS < Date.now())) {
      this.#refreshing ??= this.#refresh(now).finally(() => (this.#refreshing = null));
      await this.#refreshing;
    }
    return this.token;
  }

  /** A refresh token is good once: tabs take turns, and who comes second takes what the first got. */
  async #refresh(before: Kept): Promise<void> {
    const renew = async () => {
      const now = kept();
      if (!now?.refreshToken || now.token !== before.token) return this.#take(now);
      let answer: Response;
      try {
        answer = await fetch(api("auth/refresh"), {
          method: "POST",
          headers: { "Content-Type": "application/json" },
          body: JSON.stringify({ refreshToken: now.refreshToken }),
          credentials: "omit",
        });
      } catch {
        return; // Not reachable: the request that wanted it says so.
      }
      if (answer.ok) this.#keep((await answer.json()) as LoggedIn);
      else if (answer.status === 401) this.ended("Your login has ended. Sign in again.");
    };
    // Locks exist only where the page came over HTTPS or from this machine.
    await (navigator.locks ? navigator.locks.request(KEY, renew) : renew());
  }

  #keep(login: LoggedIn): void {
    this.#store({ token: login.accessToken, refreshToken: login.refreshToken, endsAtMs: Date.now() + login.expiresIn * 1000 });
  }

  #store(now: Kept | null): void {
    if (now) localStorage.setItem(KEY, JSON.stringify(now));
    else localStorage.removeItem(KEY);
    this.#take(now);
  }

  #take(now: Kept | null): void {
    this.#kept = now;
    if (!now) this.me = null;
  }

  login(answer: LoggedIn): void {
    this.notice = "";
    this.#keep(answer);
  }

  /** A token or an API key that was pasted or came with a link. */
  useToken(token: string): void {
    this.notice = "";
    this.#store({ token: token.trim(), refreshToken: null, endsAtMs: null });
  }

  ended(why: string): void {
    this.notice = why;
    this.#store(null);
  }

  async logout(): Promise<void> {
    const refreshToken = this.#kept?.refreshToken;
    this.#store(null);
    this.notice = "";
    if (refreshToken)
      await fetch(api("auth/logout"), {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ refreshToken }),
        credentials: "omit",
      }).catch(() => undefined);
  }
}

export const session = new Session();
