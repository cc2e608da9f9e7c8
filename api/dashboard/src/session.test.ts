import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

// A tab is the modules loaded anew: tabs share localStorage, and here what the gateway knows.

const KEY = "backfleet.session";
const START = Date.UTC(2026, 10, 30);

/** A gateway with one login, whose refresh tokens are good once; the predecessor once more within 10 s. */
class Gateway {
  turn = 1;
  previous = 0;
  turnedAt = 0;
  graced = false;
  alive = true;
  expiresIn = 900;
  refreshes = 0;
  goodbyes: string[] = [];
  /** What happens before it answers a refresh. */
  before: (() => Promise<void> | void) | null = null;
  lost = 0;
  status = 200;
  /** Access tokens that are refused. */
  refused = new Set<string>();
  authorizations: (string | null)[] = [];

  answer = async (input: URL | RequestInfo, init?: RequestInit): Promise<Response> => {
    const path = new URL(String(input)).pathname;
    if (path.endsWith("/auth/refresh")) return this.#refresh(String(JSON.parse(String(init?.body)).refreshToken));
    if (path.endsWith("/auth/logout")) {
      this.goodbyes.push(String(JSON.parse(String(init?.body)).refreshToken));
      this.alive = false;
      return new Response(null, { status: 204 });
    }
    const authorization = new Headers(init?.headers).get("Authorization");
    this.authorizations.push(authorization);
    if (this.refused.has(authorization?.slice(7) ?? "")) return this.#problem(401, "the token has expired; get a new one");
    return Response.json({ name: "ann" });
  };

  async #refresh(token: string): Promise<Response> {
    this.refreshes += 1;
    await this.before?.();
    if (this.status !== 200) return this.#problem(this.status, "MongoDB does not answer");
    const turn = Number(token.slice(1));
    const graced = turn === this.previous && !this.graced && Date.now() - this.turnedAt <= 10_000;
    if (!this.alive || (turn !== this.turn && !graced)) {
      this.alive = false;
      return this.#problem(401, "the refresh token is not valid");
    }
    if (graced) this.graced = true;
    else [this.previous, this.turnedAt, this.graced] = [this.turn, Date.now(), false];
    this.turn += 1;
    if (this.lost-- > 0) throw new TypeError("network");
    return Response.json(this.login());
  }

  login() {
    return { accessToken: `a${this.turn}`, refreshToken: `r${this.turn}`, expiresIn: this.expiresIn, tokenType: "Bearer" as const, refreshExpiresAt: "", user: {} as never };
  }

  #problem(status: number, detail: string): Response {
    return Response.json({ detail, code: String(status), errors: [] }, { status });
  }
}

async function tab() {
  vi.resetModules();
  const { session } = await import("./session.svelte");
  const http = await import("./http");
  return { session, ...http };
}

/** What the browser does for the other tabs. */
const told = () => dispatchEvent(new StorageEvent("storage", { key: KEY }));
const stored = () => JSON.parse(localStorage.getItem(KEY) ?? "null") as { token: string; refreshToken: string } | null;

async function settled<T>(work: Promise<T>): Promise<PromiseSettledResult<T>> {
  let result: PromiseSettledResult<T> | null = null;
  void Promise.allSettled([work]).then(([one]) => (result = one!));
  for (let n = 0; n < 2_000 && !result; n += 1) await vi.advanceTimersByTimeAsync(50);
  return result!;
}

async function value<T>(work: Promise<T>): Promise<T> {
  const one = await settled(work);
  if (one.status === "rejected") throw one.reason;
  return one.value;
}

let gateway: Gateway;

beforeEach(() => {
  vi.useFakeTimers({ now: START });
  localStorage.clear();
  gateway = new Gateway();
  vi.stubGlobal("fetch", gateway.answer);
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
});

describe("refreshing", () => {
  test("many requests at once refresh once", async () => {
    const { session, get } = await tab();
    session.login(gateway.login());
    vi.setSystemTime(START + 860_000);
    await value(Promise.all([1, 2, 3].map(() => get("/api/users/me"))));
    expect(gateway.refreshes).toBe(1);
    expect(gateway.authorizations).toEqual(["Bearer a2", "Bearer a2", "Bearer a2"]);
  });

  test.each(["without locks", "with locks"])("tabs that refresh at once keep the login, %s", async (how) => {
    if (how === "with locks") {
      let last: Promise<unknown> = Promise.resolve();
      const request = (_: string, __: unknown, work: () => Promise<void>) => (last = last.then(work, work));
      vi.stubGlobal("navigator", Object.assign(Object.create(navigator), { locks: { request } }));
    }
    const first = await tab();
    first.session.login(gateway.login());
    const tabs = [first, await tab(), await tab(), await tab()];
    gateway.before = () => new Promise((done) => setTimeout(done, 700));
    for (let round = 1; round <= 3; round += 1) {
      vi.setSystemTime(START + round * 900_000);
      await value(Promise.all(tabs.map((one) => one.get("/api/users/me"))));
      expect(gateway.refreshes).toBe(round);
      expect(tabs.map((one) => one.session.token)).toEqual(tabs.map(() => `a${round + 1}`));
    }
    expect(gateway.alive).toBe(true);
  });

  test("the turn of a tab that was closed in it comes to an end", async () => {
    const { session, get } = await tab();
    session.login(gateway.login());
    vi.setSystemTime(START + 900_000);
    localStorage.setItem(`${KEY}.turn`, JSON.stringify({ owner: "gone", untilMs: Date.now() + 30_000 }));
    await value(get("/api/users/me"));
    expect(session.token).toBe("a2");
    expect(localStorage.getItem(`${KEY}.turn`)).toBeNull();
  });

  test("a lost answer is asked for again before its token is dead", async () => {
    const { session, get } = await tab();
    session.login(gateway.login());
    vi.setSystemTime(START + 900_000);
    gateway.lost = 1;
    await value(get("/api/users/me"));
    expect([gateway.refreshes, gateway.alive, session.token]).toEqual([2, true, "a3"]);
  });

  test.each([503, 429])("a gateway that answers %i ends no login", async (status) => {
    const { session, get } = await tab();
    session.login(gateway.login());
    gateway.status = status;
    vi.setSystemTime(START + 860_000);
    await value(get("/api/users/me")); // The old token is good for another 40 s.
    await value(get("/api/users/me"));
    expect([gateway.authorizations, gateway.refreshes]).toEqual([["Bearer a1", "Bearer a1"], 1]);
    vi.setSystemTime(START + 901_000);
    const refused = await settled(get("/api/users/me"));
    expect(refused).toMatchObject({ status: "rejected", reason: { status } });
    expect(session.signedIn).toBe(true);
    gateway.status = 200;
    await value(get("/api/users/me"));
    expect(session.token).toBe("a2");
  });

  test("a login that ended says why, and is not asked for again", async () => {
    const { session, get } = await tab();
    session.login(gateway.login());
    gateway.alive = false;
    gateway.refused.add("a1");
    const refused = await settled(get("/api/users/me"));
    expect(refused).toMatchObject({ status: "rejected", reason: { status: 401 } });
    expect(session.signedIn).toBe(false);
    expect(session.notice).toContain("Your login has ended");
    expect([gateway.refreshes, stored()]).toEqual([1, null]);
  });

  test("who signs out while a refresh is under way stays signed out", async () => {
    const { session } = await tab();
    session.login(gateway.login());
    vi.setSystemTime(START + 900_000);
    gateway.before = () => {
      session.logout();
      gateway.alive = true; // The farewell comes after the answer.
    };
    await settled(session.freshToken());
    expect([session.signedIn, stored(), gateway.goodbyes]).toEqual([false, null, ["r1", "r2"]]);
    expect(session.notice).toBe("");
  });

  test("who signs in anew while a refresh is under way keeps the new login", async () => {
    const { session } = await tab();
    session.login(gateway.login());
    vi.setSystemTime(START + 900_000);
    gateway.before = () => {
      session.useToken("bfk_other");
      gateway.alive = true;
    };
    await settled(session.freshToken());
    expect([session.token, stored()?.token]).toEqual(["bfk_other", "bfk_other"]);
  });

  test("a token of half a minute is not refreshed with every request", async () => {
    const { session, get } = await tab();
    gateway.expiresIn = 30;
    session.login(gateway.login());
    await value(get("/api/users/me"));
    expect(gateway.refreshes).toBe(0);
    vi.setSystemTime(START + 21_000);
    await value(get("/api/users/me"));
    expect(gateway.refreshes).toBe(1);
  });

  test("a clock that was set back: the refusal of the token is what counts", async () => {
    const { session, get } = await tab();
    session.login(gateway.login());
    vi.setSystemTime(START - 7_200_000);
    gateway.refused.add("a1");
    await value(get("/api/users/me"));
    expect([gateway.authorizations, gateway.refreshes]).toEqual([["Bearer a1", "Bearer a2"], 1]);
    expect(session.signedIn).toBe(true);
  });
});

describe("refusals", () => {
  test("a pasted token that is refused ends here, with the reason", async () => {
    const { session, get } = await tab();
    session.useToken(" bfk_old ");
    gateway.refused.add("bfk_old");
    await settled(get("/api/users/me"));
    expect([session.signedIn, gateway.authorizations.length]).toEqual([false, 1]);
    expect(session.notice).toContain("the token has expired");
  });

  test("of a token that is being tried it ends nobody's login", async () => {
    const { session, get } = await tab();
    session.login(gateway.login());
    gateway.refused.add("other");
    await settled(get("/api/users/me", { token: "other" }));
    expect([session.token, session.notice, gateway.refreshes]).toEqual(["a1", "", 0]);
  });

  test("that come late for an older token leave the newer login alone", async () => {
    const { session, get } = await tab();
    session.useToken("old");
    gateway.refused.add("old");
    const late = get("/api/users/me");
    session.useToken("new");
    await value(late);
    session.ended("too late", "old");
    expect([session.token, session.notice]).toEqual(["new", ""]);
  });

  test("what another tab refreshed meanwhile is taken in place of a refresh", async () => {
    const [one, other] = [await tab(), await tab()];
    one.session.login(gateway.login());
    told();
    gateway.refused.add("a1");
    await value(one.get("/api/users/me"));
    expect(other.session.token).toBe("a1"); // Its event has not come yet.
    await value(other.get("/api/users/me"));
    expect([gateway.refreshes, other.session.token]).toEqual([1, "a2"]);
  });

  test("an answer that is none of a gateway's is a problem with words", async () => {
    const { session, get } = await tab();
    session.useToken("t");
    vi.stubGlobal("fetch", async () => new Response("<html>", { status: 200 }));
    expect(await settled(get("/api/users/me"))).toMatchObject({ reason: { code: "unreadable" } });
    vi.stubGlobal("fetch", async () => new Response("<html>", { status: 502, headers: { "Retry-After": "7" } }));
    expect(await settled(get("/api/users/me"))).toMatchObject({ reason: { status: 502, retryAfterS: 7, message: "The gateway answered 502." } });
    vi.stubGlobal("fetch", async () => new Response("null", { status: 500 }));
    expect(await settled(get("/api/users/me"))).toMatchObject({ reason: { status: 500, errors: [] } });
    expect(session.signedIn).toBe(true);
  });
});

describe("tabs and storage", () => {
  test("signing out in one tab signs out the others, who hear of it", async () => {
    const one = await tab();
    one.session.login(gateway.login());
    const other = await tab();
    expect(other.session.signedIn).toBe(true);
    one.session.logout();
    told();
    expect([other.session.signedIn, one.session.notice]).toEqual([false, ""]);
    expect(other.session.notice).toContain("another tab");
  });

  test("a login as somebody else in another tab forgets who one was", async () => {
    const [one, other] = [await tab(), await tab()];
    one.session.useToken("first");
    told();
    other.session.me = { name: "ann" } as never;
    const before = other.session.id;
    one.session.useToken("second");
    told();
    expect([other.session.token, other.session.me]).toEqual(["second", null]);
    expect(other.session.id).not.toBe(before);
  });

  test("a refresh keeps who one is", async () => {
    const { session } = await tab();
    session.login(gateway.login());
    session.me = { name: "ann" } as never;
    const { id } = session;
    await value(session.freshToken("a1"));
    expect([session.token, session.me, session.id]).toEqual(["a2", { name: "ann" }, id]);
  });

  test.each(["full", "blocked"])("where storage is %s, one is signed in in this tab", async (how) => {
    vi.spyOn(Storage.prototype, "setItem").mockImplementation(() => {
      throw new DOMException("no", "QuotaExceededError");
    });
    if (how === "blocked")
      vi.spyOn(Storage.prototype, "getItem").mockImplementation(() => {
        throw new DOMException("no", "SecurityError");
      });
    const { session, get } = await tab();
    session.login(gateway.login());
    told();
    document.dispatchEvent(new Event("visibilitychange"));
    expect([session.token, session.isStored]).toEqual(["a1", false]);
    vi.setSystemTime(START + 900_000);
    await value(get("/api/users/me"));
    expect([session.token, gateway.refreshes]).toEqual(["a2", 1]);
    session.logout();
    expect([session.signedIn, gateway.goodbyes]).toEqual([false, ["r2"]]);
  });

  test.each(["{", "null", "7", '{"token": 3}', '{"token": ""}'])("what is stored and is no login, %s, is none", async (text) => {
    localStorage.setItem(KEY, text);
    expect((await tab()).session.signedIn).toBe(false);
  });
});
