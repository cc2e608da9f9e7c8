// Who is signed in: tokens of a login, or one token (or API key) that was pasted. Kept in localStorage, so that tabs share
// it, and where the browser stores nothing in this tab alone; never in a URL that a server sees.

import { Problem, problemFrom } from "./problem";
import { inTurn } from "./turns";
import type { components } from "./wire/openapi";

type LoggedIn = components["schemas"]["LoggedIn"];
export type Me = components["schemas"]["Me"];

interface Kept {
  /** Of the login: the same in all tabs, and through all its refreshes. */
  id: string;
  token: string;
  /** Null for a token that was pasted: it ends when it ends. */
  refreshToken: string | null;
  /** Milliseconds since 1970 by this machine's clock, when it ends and when it is time for another; null where unknown. */
  endsAtMs: number | null;
  renewAtMs: number | null;
}

const KEY = "backfleet.session";
const EARLY_MS = 60_000;
/** After a refresh that could not be had, while the token is still good. */
const AGAIN_MS = 5_000;
/**
 * An answer may be lost, and its refresh token with it. The one before is taken once more within 10 s: the second try
 * begins before that, and there is no third.
 */
const TRIES_MS = [8_000, 20_000];

function readKept(text: string | null): Kept | null {
  let found: Partial<Kept> | null = null;
  try {
    found = JSON.parse(text ?? "null") as Partial<Kept> | null;
  } catch {
    // Somebody else's, or cut off: as good as nothing.
  }
  if (typeof found?.token !== "string" || !found.token) return null;
  const { id = "", token, refreshToken = null, endsAtMs = null, renewAtMs = endsAtMs } = found;
  return { id, token, refreshToken, endsAtMs, renewAtMs };
}

const api = (path: string) => new URL(`./api/${path}`, document.baseURI);

function tell(path: string, refreshToken: string, limitMs: number): Promise<Response> {
  const headers = { "Content-Type": "application/json" };
  const body = JSON.stringify({ refreshToken });
  return fetch(api(path), { method: "POST", headers, body, credentials: "omit", signal: AbortSignal.timeout(limitMs) });
}

/** Whether it is heard or not: a login that is not ended ends by itself. */
const farewell = (refreshToken: string) => void tell("auth/logout", refreshToken, 10_000).catch(() => undefined);

class Session {
  #kept = $state.raw<Kept | null>(null);
  #isStored = $state(true);
  readonly signedIn = $derived(this.#kept !== null);
  /** Changes when somebody signs in anew, and with nothing else. */
  readonly id = $derived(this.#kept?.id ?? "");
  /** Whether other tabs, and this one after it is loaded again, are signed in, too. */
  readonly isStored = $derived(this.#isStored);
  me = $state.raw<Me | null>(null);
  /** Why one has to sign in again, where there is something to say. */
  notice = $state("");
  #refreshing: Promise<void> | null = null;
  #notBeforeMs = 0;

  constructor() {
    this.#kept = this.#latest();
    addEventListener("storage", (event) => {
      if (event.key === KEY || event.key === null) this.#look();
    });
    // A page that was put away hears of nothing.
    addEventListener("pageshow", () => this.#look());
    document.addEventListener("visibilitychange", () => this.#look());
  }

  get token(): string | null {
    return this.#kept?.token ?? null;
  }

  get canRefresh(): boolean {
    return Boolean(this.#kept?.refreshToken);
  }

  /**
   * The token, renewed where it is about to end, or where it is the one that was `refused`.
   * @throws {Problem} where it has ended, and there is no other to be had now.
   */
  async freshToken(refused: string | null = null): Promise<string | null> {
    const now = this.#kept;
    if (!now?.refreshToken) return this.token;
    const mustBe = now.token === refused || (now.endsAtMs !== null && now.endsAtMs <= Date.now());
    const shouldBe = now.renewAtMs !== null && now.renewAtMs <= Date.now() && this.#notBeforeMs <= performance.now();
    if (!mustBe && !shouldBe) return now.token;
    this.#refreshing ??= this.#refresh(now).finally(() => (this.#refreshing = null));
    try {
      await this.#refreshing;
    } catch (error) {
      this.#notBeforeMs = performance.now() + AGAIN_MS;
      if (mustBe) throw error;
    }
    return this.token;
  }

  /** A refresh token is good once: tabs take turns, and who comes second takes what the first got. */
  async #refresh(before: Kept): Promise<void> {
    const isOver = () => this.#latest()?.token !== before.token;
    const work = async () => {
      if (!isOver()) await this.#renew(before);
    };
    try {
      await inTurn(KEY, work, isOver);
    } catch (error) {
      if (error instanceof Problem) throw error;
      throw new Problem(0, "unreachable", "Another tab is renewing your login and does not come to an end; close it, or try again.");
    }
    this.#look();
  }

  async #renew(before: Kept): Promise<void> {
    const refreshToken = before.refreshToken ?? "";
    const answer = await this.#ask(refreshToken);
    const now = this.#latest();
    if (now?.id !== before.id) {
      // Signed out, or in as somebody else, in the meantime: nobody has use for these.
      if (answer.login) farewell(answer.login.refreshToken);
    } else if (answer.login) this.#keep(answer.login, before.id);
    else if (now.refreshToken === refreshToken) this.ended(answer.refusal, now.token);
  }

  async #ask(refreshToken: string): Promise<{ login: LoggedIn } | { login: null; refusal: string }> {
    for (const limitMs of TRIES_MS) {
      let status: number;
      let text: string;
      let after: string | null;
      try {
        const answer = await tell("auth/refresh", refreshToken, limitMs);
        ({ status } = answer);
        after = answer.headers.get("Retry-After");
        text = await answer.text();
        if (answer.ok) return { login: JSON.parse(text) as LoggedIn };
      } catch {
        continue;
      }
      if (status === 401) return { login: null, refusal: "Your login has ended: it ran out, the password was changed, or the user was disabled. Sign in again." };
      const problem = problemFrom(status, text, after);
      if (status < 500 && status !== 429 && status !== 408) return { login: null, refusal: `Your login has ended: ${problem.message}` };
      throw problem;
    }
    throw new Problem(0, "unreachable", "The gateway cannot be reached. What you see may be old; try again.");
  }

  #keep(login: LoggedIn, id: string): void {
    const now = Date.now();
    const lifeMs = login.expiresIn * 1000;
    const renewAtMs = now + lifeMs - Math.min(EARLY_MS, lifeMs / 3);
    this.#store({ id, token: login.accessToken, refreshToken: login.refreshToken, endsAtMs: now + lifeMs, renewAtMs });
  }

  /** What is stored now; what this tab has, where nothing can be stored. */
  #latest(): Kept | null {
    if (!this.#isStored) return this.#kept;
    try {
      return readKept(localStorage.getItem(KEY));
    } catch {
      this.#isStored = false;
      return this.#kept;
    }
  }

  #store(now: Kept | null): void {
    try {
      if (now) localStorage.setItem(KEY, JSON.stringify(now));
      else localStorage.removeItem(KEY);
      this.#isStored = true;
    } catch {
      this.#isStored = false;
      try {
        localStorage.removeItem(KEY); // What is there is used up: another tab that used it again would end the login.
      } catch {
        // Then nothing is there either.
      }
    }
    this.#take(now);
  }

  #take(now: Kept | null): void {
    if (now?.id !== this.#kept?.id) this.me = null;
    this.#kept = now;
  }

  /** What other tabs did. */
  #look(): void {
    if (!this.#isStored) return;
    const now = this.#latest();
    if (now?.token === this.#kept?.token && now?.refreshToken === this.#kept?.refreshToken) return;
    if (this.#kept && !now) this.notice = "You signed out in another tab, or your login ended there.";
    if (now) this.notice = "";
    this.#take(now);
  }

  login(answer: LoggedIn): void {
    this.#begin();
    this.#keep(answer, newId());
  }

  /** A token or an API key that was pasted or came with a link. */
  useToken(token: string): void {
    this.#begin();
    this.#store({ id: newId(), token: token.trim(), refreshToken: null, endsAtMs: null, renewAtMs: null });
  }

  #begin(): void {
    this.notice = "";
    const before = this.#latest();
    if (before?.refreshToken) farewell(before.refreshToken);
  }

  /** The login is over, as far as it is still the one with the token `of`. */
  ended(why: string, of: string | null): void {
    const now = this.#latest();
    if (now && now.token !== of) return this.#take(now);
    this.#store(null);
    this.notice = why;
  }

  logout(): void {
    const refreshToken = this.#latest()?.refreshToken;
    this.#store(null);
    this.notice = "";
    if (refreshToken) farewell(refreshToken);
  }
}

const newId = () => `${Date.now()}.${Math.random()}`;

export const session = new Session();
