// One press is one backtest, however often its answer is lost on the way.

import { Problem, send } from "../../http";
import type { JsonObject } from "../../forms/schema";

const WAITS_MS = [500, 1_500, 4_000];

/** Random enough to be nobody else's; also where a page came over plain HTTP, which has no randomUUID. */
export function newKey(): string {
  return `page-${Array.from(crypto.getRandomValues(new Uint8Array(16)), (one) => one.toString(16).padStart(2, "0")).join("")}`;
}

const lost = (error: unknown) => error instanceof Problem && (error.status === 0 || error.status === 502 || error.status === 503 || error.status === 504);

/** Sends it until there is an answer, a few times; raises the last refusal. The key says that it is the same each time. */
export async function submit(request: JsonObject, key: string, wait = (ms: number) => new Promise((done) => setTimeout(done, ms))): Promise<string> {
  for (let attempt = 0; ; attempt += 1) {
    try {
      const answer = await send("POST", "/api/algo/backtest", { body: request, headers: { "Idempotency-Key": key } });
      return ((await answer.json()) as { backtestId: string }).backtestId;
    } catch (error) {
      const pause = WAITS_MS[attempt];
      if (pause === undefined || !(lost(error) || error instanceof SyntaxError || error instanceof TypeError)) throw error;
      const asked = error instanceof Problem && error.retryAfterS !== null ? error.retryAfterS * 1000 : 0;
      await wait(Math.min(Math.max(pause, asked), WAITS_MS.at(-1)!));
    }
  }
}
