// One's backtests as the page shows them: pages that were asked for, kept right by news and by asking again.

import { SvelteMap } from "svelte/reactivity";
import { get, Problem } from "../../http";
import type { Complete, Failure, PausedTold, Progress, StartedTold } from "../../wire/messages";
import { adjoins, arrived, completed, failed, hasEnded, merged, missing, standing, started, type Backtest } from "./merging";

export const PAGE = 50;
/** How many single backtests one look asks for: those that news may have missed. */
const LOOKED_AFTER_MAX = 20;

export interface Filter {
  status?: string | undefined;
  symbol?: string | undefined;
}
export interface Page {
  of: string;
  /** Whatever their status is. */
  ofAll: boolean;
  items: Backtest[];
  nextCursor: string | null;
}

export async function askPage(filter: Filter, cursor: string | null, signal?: AbortSignal): Promise<Page> {
  const query = { limit: PAGE, cursor, status: filter.status, symbol: filter.symbol };
  const page = await get("/api/algo/backtest", { query, ...(signal ? { signal } : {}) });
  return { of: keyOf(filter), ofAll: !filter.status, items: page.items, nextCursor: page.nextCursor };
}

export const keyOf = (filter: Filter): string => JSON.stringify([filter.status ?? "", filter.symbol ?? ""]);

export class BacktestList {
  rows = $state.raw<Backtest[]>([]);
  /** New ones that wait above the list while somebody reads. */
  waiting = $state.raw<Backtest[]>([]);
  /** Whether there are older ones than those shown. */
  more = $state(false);
  /** Which filter the rows are of; null before the first answer. */
  of = $state<string | null>(null);
  readonly progress = new SvelteMap<string, Progress>();
  #cursor: string | null = null;

  /** The newest page, asked for again and again. `reads`: somebody reads, and new ones wait. */
  take(page: Page, reads: boolean): void {
    if (page.of !== this.of || !adjoins(this.rows, page)) {
      this.of = page.of;
      this.rows = page.items;
      this.waiting = [];
      this.#continueAt(page);
      return;
    }
    const news = arrived(this.rows, page.items);
    const [held, rest] = reads ? [news, page.items.filter((one) => !news.includes(one))] : [[], page.items];
    const gone = missing(this.rows, page.items, page.nextCursor === null);
    this.rows = merged(this.rows, rest);
    this.waiting = held;
    // Nothing was shown, or all of it was on this page: then the page says also where it goes on.
    if (this.rows.length <= page.items.length) this.#continueAt(page);
    // Of all, what is not there is deleted; of one status, it may have another by now.
    const [deleted, doubtful] = page.ofAll ? [gone, []] : [[], gone];
    for (const one of deleted) this.remove(one.backtestId);
    void this.#lookAfter(doubtful, page.items);
  }

  #continueAt(page: Page): void {
    this.#cursor = page.nextCursor;
    this.more = page.nextCursor !== null;
  }

  showWaiting(): void {
    this.rows = merged(this.rows, this.waiting);
    this.waiting = [];
  }

  /** The next older page. Raises what the request raises. */
  async addMore(filter: Filter): Promise<void> {
    const page = await askPage(filter, this.#cursor);
    if (page.of !== this.of) return;
    this.rows = merged(this.rows, page.items);
    this.#continueAt(page);
  }

  /** Those that a page lacks, and those below it that have not ended, are asked for one by one. */
  async #lookAfter(gone: Backtest[], page: Backtest[]): Promise<void> {
    const there = new Set(page.map((one) => one.backtestId));
    const open = this.rows.filter((one) => !hasEnded(one) && !there.has(one.backtestId) && !gone.includes(one));
    await Promise.all(
      [...gone, ...open].slice(0, LOOKED_AFTER_MAX).map(async ({ backtestId }) => {
        try {
          const now = await get("/api/algo/backtest/{backtest_id}", { path: { backtest_id: backtestId } });
          if (this.#has(backtestId)) this.rows = merged(this.rows, [now]);
        } catch (error) {
          // Whatever else is wrong, the next look tries again, and says so where it fails, too.
          if (error instanceof Problem && error.status === 404) this.remove(backtestId);
        }
      }),
    );
  }

  #has(id: string): boolean {
    return this.rows.some((one) => one.backtestId === id);
  }

  remove(id: string): void {
    this.rows = this.rows.filter((one) => one.backtestId !== id);
    this.waiting = this.waiting.filter((one) => one.backtestId !== id);
    this.progress.delete(id);
  }

  #change(id: string, change: (one: Backtest) => Backtest): void {
    if (this.#has(id)) this.rows = this.rows.map((one) => (one.backtestId === id ? change(one) : one));
  }

  /** Gives back whether it is one that the list does not know. */
  hearStarted(told: StartedTold): boolean {
    this.#change(told.backtestId, started);
    return !this.#has(told.backtestId);
  }

  hearProgress(told: Progress): void {
    const row = this.rows.find((one) => one.backtestId === told.backtestId);
    if (!row || hasEnded(row)) return;
    this.progress.set(told.backtestId, told);
    if (row.status === "pending") this.#change(told.backtestId, started);
  }

  hearStanding(told: PausedTold, status: "paused" | "running"): void {
    this.#change(told.backtestId, (one) => standing(one, status, told));
  }

  hearComplete(told: Complete): void {
    this.#change(told.backtestId, (one) => completed({ ...one, progress: this.progress.get(told.backtestId)?.progress ?? one.progress }, told));
    this.progress.delete(told.backtestId);
  }

  hearError(told: Failure): void {
    this.#change(told.backtestId, (one) => failed(one, told));
    this.progress.delete(told.backtestId);
  }
}
