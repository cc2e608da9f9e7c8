import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

type Listener = (...said: unknown[]) => void;

/** What the library gives, as far as it is used: a test says what happens to it. */
class FakeSocket {
  active = true;
  connected = false;
  connects = 0;
  disconnects = 0;
  #listeners = new Map<string, Listener[]>();

  constructor(readonly options: { auth: (give: (auth: unknown) => void) => void }) {}

  on(event: string, listener: Listener): void {
    this.#listeners.set(event, [...(this.#listeners.get(event) ?? []), listener]);
  }

  happens(event: string, ...said: unknown[]): void {
    for (const one of this.#listeners.get(event) ?? []) one(...said);
  }

  connect(): this {
    this.connects += 1;
    return this;
  }

  disconnect(): this {
    this.disconnects += 1;
    return this;
  }

  /** What it would sign in with. */
  auth(): Promise<unknown> {
    return new Promise((done) => this.options.auth(done));
  }

  denied(message: string): void {
    this.active = false;
    this.happens("connect_error", new Error(message));
  }

  closedByServer(): void {
    this.active = false;
    this.happens("disconnect", "io server disconnect");
  }
}

const made: FakeSocket[] = [];
const session = { token: "a1" as string | null, canRefresh: true, signedIn: true, freshToken: vi.fn(), ended: vi.fn() };

vi.mock("socket.io-client", () => ({
  io: (_: string, options: FakeSocket["options"]) => {
    const one = new FakeSocket(options);
    made.push(one);
    return one;
  },
}));
vi.mock("../session.svelte", () => ({ session }));

async function opened() {
  vi.resetModules();
  const { live } = await import("./socket.svelte");
  void live.socket;
  const socket = made.at(-1)!;
  await socket.auth();
  return { live, socket };
}
const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);

beforeEach(() => {
  vi.useFakeTimers();
  made.length = 0;
  Object.assign(session, { token: "a1", canRefresh: true, signedIn: true });
  session.freshToken.mockReset().mockImplementation((refused?: string) => Promise.resolve(refused === undefined ? session.token : (session.token = `${refused}+`)));
  session.ended.mockReset();
});
afterEach(() => vi.useRealTimers());

describe("the socket", () => {
  test("is one, and says since when it was here", async () => {
    const { live, socket } = await opened();
    expect([live.socket, made.length, live.connection]).toEqual([socket, 1, "connecting"]);
    expect(await socket.auth()).toEqual({ token: "a1", since: null });
    socket.happens("connect");
    socket.happens("auth:ok", { now: "2026-11-30T12:00:00Z" });
    expect([live.connection, await socket.auth()]).toEqual(["on", { token: "a1", since: "2026-11-30T12:00:00Z" }]);
  });

  test("whose token has ended connects with the next one", async () => {
    const { socket } = await opened();
    socket.happens("connect");
    socket.happens("auth:expired", { message: "the token has expired" });
    socket.closedByServer();
    await pass(0);
    expect([session.freshToken.mock.lastCall, socket.connects, session.ended.mock.calls]).toEqual([["a1"], 1, []]);
    await pass(60_000);
    expect(socket.connects).toBe(1);
  });

  test("whose token has ended and cannot be renewed ends the login, with the reason", async () => {
    const { socket } = await opened();
    session.canRefresh = false;
    socket.happens("auth:expired", { message: "the token or key is not good any more" });
    await pass(0);
    expect(session.ended.mock.calls).toEqual([["You have to sign in again: the token or key is not good any more.", "a1"]]);
  });

  test("whose token was replaced meanwhile takes the new one and ends nothing", async () => {
    const { socket } = await opened();
    Object.assign(session, { token: "b1", canRefresh: false });
    socket.happens("auth:expired", {});
    await pass(0);
    expect([session.ended.mock.calls, socket.connects]).toEqual([[], 1]);
  });

  test("tries again later where the gateway cannot renew now", async () => {
    const { live, socket } = await opened();
    session.freshToken.mockRejectedValue(new Error("MongoDB does not answer"));
    socket.happens("auth:expired", {});
    await pass(0);
    expect([live.problem, socket.connects, session.ended.mock.calls]).toEqual(["MongoDB does not answer", 0, []]);
    await pass(2_000);
    expect(socket.connects).toBe(1);
  });

  test("that the server has closed connects again, ever later", async () => {
    const { live, socket } = await opened();
    socket.happens("connect");
    socket.closedByServer();
    expect(live.connection).toBe("connecting");
    await pass(1_999);
    expect(socket.connects).toBe(0);
    await pass(1);
    expect(socket.connects).toBe(1);
    for (let n = 0; n < 10; n += 1) {
      socket.denied("forbidden: this key lacks the scope `read`");
      await pass(30_000);
    }
    expect([socket.connects, live.problem, session.ended.mock.calls]).toEqual([11, "forbidden: this key lacks the scope `read`", []]);
  });

  test("gives up a login of which token after token is refused", async () => {
    const { socket } = await opened();
    for (let n = 0; n < 10 && !session.ended.mock.calls.length; n += 1) {
      await socket.auth();
      socket.denied("unauthenticated: the token is not valid");
      await pass(0);
    }
    expect([socket.connects, session.ended.mock.calls]).toEqual([3, [["You have to sign in again: the token is not valid.", "a1+++"]]]);
  });

  test("that is closed stays closed, and nothing late opens it", async () => {
    const { live, socket } = await opened();
    socket.closedByServer();
    live.close();
    socket.denied("too late");
    socket.happens("auth:expired", {});
    await pass(60_000);
    expect([live.connection, live.problem, socket.connects, made.length]).toEqual(["off", "", 0, 1]);
  });
});
