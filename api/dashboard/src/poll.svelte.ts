// An answer that is asked for again and again while somebody looks: one request at a time, none while the page is
// hidden, and the more seldom the longer it fails.

import { untrack } from "svelte";
import { Problem } from "./http";

const REST_MAX_MS = 30_000;
/** An answer that takes longer makes what is shown doubtful, though nobody has refused anything. */
const LATE_MS = 5_000;

/** How long to wait before the next request, after `failures` of them in a row. */
export function restMs(everyMs: number, failures: number, retryAfterS: number | null = null): number {
  const patience = Math.min(everyMs * 2 ** Math.min(failures, 10), Math.max(REST_MAX_MS, everyMs));
  return Math.max(patience, Math.min((retryAfterS ?? 0) * 1000, REST_MAX_MS));
}

export class Poll<Value> {
  /** The last one that came; it stays while later ones fail. */
  value = $state.raw<Value | null>(null);
  /** When it came, by this machine's clock. */
  atMs = $state<number | null>(null);
  /** Why the latest did not come; null where it did. */
  problem = $state.raw<unknown>(null);
  /** The latest is long in coming. */
  late = $state(false);
  readonly #ask: (signal: AbortSignal) => Promise<Value>;
  readonly #everyMs: number;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #under: AbortController | null = null;
  #wanted = false;
  #failures = 0;

  /** Made while a component is being made: it ends with it. What `ask` reads before it waits, it is asked anew for. */
  constructor(ask: (signal: AbortSignal) => Promise<Value>, everyMs: number) {
    this.#ask = ask;
    this.#everyMs = everyMs;
    $effect(() => {
      const looked = () => (document.hidden ? this.#stop() : this.again());
      document.addEventListener("visibilitychange", looked);
      if (!document.hidden) void this.#once();
      return () => {
        document.removeEventListener("visibilitychange", looked);
        this.#stop();
      };
    });
  }

  /** Asks now, or as soon as what is under way has come. */
  again(): void {
    if (document.hidden) return;
    if (this.#under) this.#wanted = true;
    else untrack(() => void this.#once());
  }

  #stop(): void {
    clearTimeout(this.#timer);
    this.#under?.abort();
    this.#under = null;
    this.#wanted = false;
    this.late = false;
  }

  async #once(): Promise<void> {
    clearTimeout(this.#timer);
    const mine = (this.#under = new AbortController());
    let retryAfterS: number | null = null;
    const waits = setTimeout(() => (this.late = this.#under === mine), LATE_MS);
    try {
      const value = await this.#ask(mine.signal);
      if (mine.signal.aborted) return;
      this.value = value;
      this.atMs = Date.now();
      this.problem = null;
      this.#failures = 0;
    } catch (error) {
      if (mine.signal.aborted) return;
      this.problem = error;
      this.#failures += 1;
      if (error instanceof Problem) retryAfterS = error.retryAfterS;
    } finally {
      clearTimeout(waits);
    }
    this.late = false;
    this.#under = null;
    const rest = this.#wanted && !this.#failures ? 0 : restMs(this.#everyMs, this.#failures, retryAfterS);
    this.#wanted = false;
    this.#timer = setTimeout(() => void this.#once(), rest);
  }
}
