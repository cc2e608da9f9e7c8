// The first figures of results, asked for when a row of theirs is looked at: the list's answer does not have them.

import { SvelteMap } from "svelte/reactivity";
import { get, Problem } from "../../http";
import type { Summary } from "../../wire/messages";

const AT_ONCE = 3;
const KEPT_MAX = 1_000;

class Summaries {
  /** By result. Null: there is none to be had. */
  readonly #known = new SvelteMap<string, Summary | null>();
  #queue: { resultId: string; backtestId: string }[] = [];
  #under = new Set<string>();

  of(resultId: string | null): Summary | null | undefined {
    return resultId === null ? null : this.#known.get(resultId);
  }

  put(resultId: string, summary: Summary | null): void {
    this.#known.set(resultId, summary);
    if (this.#known.size > KEPT_MAX) for (const first of this.#known.keys()) return void this.#known.delete(first);
  }

  want(resultId: string, backtestId: string): void {
    if (this.#known.has(resultId) || this.#under.has(resultId) || this.#queue.some((one) => one.resultId === resultId)) return;
    // The one that came into sight last is the likeliest to be in sight.
    this.#queue = [{ resultId, backtestId }, ...this.#queue].slice(0, KEPT_MAX);
    this.#next();
  }

  /** Nobody looks any more. */
  forget(): void {
    this.#queue = [];
  }

  #next(): void {
    while (this.#under.size < AT_ONCE) {
      const one = this.#queue.shift();
      if (!one) return;
      this.#under.add(one.resultId);
      void this.#ask(one.resultId, one.backtestId).finally(() => {
        this.#under.delete(one.resultId);
        this.#next();
      });
    }
  }

  async #ask(resultId: string, backtestId: string): Promise<void> {
    try {
      const result = await get("/api/algo/backtest/{backtest_id}/result", { path: { backtest_id: backtestId } });
      this.put(resultId, result.summary as Summary);
    } catch (error) {
      if (error instanceof Problem && error.status >= 400 && error.status < 500 && error.status !== 429) this.put(resultId, null);
    }
  }
}

export const summaries = new Summaries();
