import { afterEach, describe, expect, it, vi } from "vitest";
import { newKey, submit } from "./submitting";

const answers = (...list: (Response | Error)[]) => {
  const sent: { key: string | null; body: unknown }[] = [];
  vi.stubGlobal("fetch", async (_: URL, ask: RequestInit) => {
    sent.push({ key: new Headers(ask.headers).get("Idempotency-Key"), body: JSON.parse(String(ask.body)) as unknown });
    const next = list.shift();
    if (next instanceof Error) throw next;
    return next ?? Response.json({ backtestId: "bt_last" }, { status: 202 });
  });
  return sent;
};
const accepted = () => Response.json({ backtestId: "bt_1", status: "pending" }, { status: 202 });
const waits: number[] = [];
const wait = async (ms: number) => void waits.push(ms);

afterEach(() => {
  vi.unstubAllGlobals();
  waits.length = 0;
});

describe("a press", () => {
  it("whose answer is lost is asked again under its key", async () => {
    const sent = answers(new TypeError("lost"), Response.json({ detail: "away" }, { status: 503, headers: { "Retry-After": "2" } }), accepted());
    expect(await submit({ symbol: "A" }, "k", wait)).toBe("bt_1");
    expect(sent).toEqual(Array(3).fill({ key: "k", body: { symbol: "A" } }));
    expect(waits).toEqual([500, 2000]);
  });
  it("that is refused is not asked again", async () => {
    const sent = answers(Response.json({ detail: "no", errors: [{ field: "symbol", message: "no", code: "x" }] }, { status: 422 }));
    await expect(submit({}, "k", wait)).rejects.toMatchObject({ status: 422 });
    expect(sent.length).toBe(1);
  });
  it("ends after a few", async () => {
    const sent = answers(...Array.from({ length: 9 }, () => new TypeError("lost")));
    await expect(submit({}, "k", wait)).rejects.toMatchObject({ status: 0 });
    expect(sent.length).toBe(4);
  });
  it("has a key of its own", () => {
    expect(newKey()).toMatch(/^page-[0-9a-f]{32}$/);
    expect(newKey()).not.toBe(newKey());
  });
});
