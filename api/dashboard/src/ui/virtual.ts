// What a table of any length has on screen, and the pages of rows it holds. No DOM here.

/** Browsers stop drawing beyond 17 to 33 million pixels: what is longer is scrolled in larger steps. */
export const TALLEST_PX = 15_000_000;

export interface View {
  total: number;
  rowPx: number;
  /** How much of the rows is seen. */
  viewPx: number;
  /** How far the browser has scrolled. */
  scrollPx: number;
}

export interface Shown {
  /** Rows that are drawn: from `first` to before `end`. */
  first: number;
  end: number;
  /** Where the first of them lies, in the browser's pixels. */
  topPx: number;
  /** How high all rows together are for the browser. */
  heightPx: number;
}

const OVERSCAN = 6;

/** Rows' own pixels for each one that the browser scrolls. */
function scale({ total, rowPx, viewPx }: View): number {
  const whole = total * rowPx;
  if (whole <= TALLEST_PX) return 1;
  return (whole - viewPx) / (TALLEST_PX - viewPx);
}

export function shown(view: View): Shown {
  const { total, rowPx, viewPx } = view;
  const heightPx = Math.min(total * rowPx, TALLEST_PX);
  const scrollPx = Math.min(Math.max(view.scrollPx, 0), Math.max(heightPx - viewPx, 0));
  const offsetPx = scrollPx * scale(view);
  const first = Math.max(0, Math.floor(offsetPx / rowPx) - OVERSCAN);
  const end = Math.min(total, Math.ceil((offsetPx + viewPx) / rowPx) + OVERSCAN);
  return { first: Math.min(first, end), end, topPx: scrollPx + first * rowPx - offsetPx, heightPx };
}

/** How far to scroll so that all of a row is seen; as far as now where it is. */
export function scrollTo(index: number, view: View): number {
  const offsetPx = view.scrollPx * scale(view);
  const top = index * view.rowPx;
  const bottom = top + view.rowPx;
  if (top < offsetPx) return top / scale(view);
  if (bottom > offsetPx + view.viewPx) return (bottom - view.viewPx) / scale(view);
  return view.scrollPx;
}

/** Which row a key leads to; null where it leads to none. */
export function step(key: string, index: number, { total, rowPx, viewPx }: View): number | null {
  const page = Math.max(1, Math.floor(viewPx / rowPx) - 1);
  const to = { ArrowDown: index + 1, ArrowUp: index - 1, PageDown: index + page, PageUp: index - page, Home: 0, End: total - 1 }[key];
  return to === undefined || !total ? null : Math.min(Math.max(to, 0), total - 1);
}

export type GetRows<Row> = (from: number, to: number, signal: AbortSignal) => readonly Row[] | Promise<readonly Row[]>;

export const PAGE_ROWS = 100;
const PAGES_KEPT = 24;
const IN_FLIGHT = 3;

/** Rows by index, a page at a time, from whoever has them: few pages are held, fewer are asked for at once. */
export class Pages<Row> {
  #held = new Map<number, readonly Row[]>();
  #asked = new Map<number, AbortController>();
  #wanted: number[] = [];
  #failed: unknown = null;
  #closed = false;

  constructor(
    readonly get: GetRows<Row>,
    readonly changed: () => void,
  ) {}

  /** Why the last page did not come; null where it did. */
  get failed(): unknown {
    return this.#failed;
  }

  row(index: number): Row | undefined {
    return this.#held.get(Math.floor(index / PAGE_ROWS))?.[index % PAGE_ROWS];
  }

  /** These rows are looked at: what lacks of them is fetched, what was wanted before and is not begun is not. */
  want(first: number, end: number, total: number | null): void {
    this.#wanted = [];
    for (let page = Math.floor(first / PAGE_ROWS); page * PAGE_ROWS < end; page += 1) {
      const held = this.#held.get(page);
      if (!held) this.#wanted.push(page);
      else {
        this.#held.delete(page);
        this.#held.set(page, held);
      }
    }
    for (const [page, abort] of this.#asked)
      if (!this.#wanted.includes(page)) {
        this.#asked.delete(page);
        abort.abort();
      }
    this.#fetch(total);
  }

  #fetch(total: number | null): void {
    let came = false;
    while (!this.#closed && this.#failed === null && this.#asked.size < IN_FLIGHT) {
      const page = this.#wanted.find((one) => !this.#asked.has(one) && !this.#held.has(one));
      if (page === undefined) break;
      const from = page * PAGE_ROWS;
      const abort = new AbortController();
      try {
        const rows = this.get(from, Math.min(from + PAGE_ROWS, total ?? Infinity), abort.signal);
        if (rows instanceof Promise) {
          this.#asked.set(page, abort);
          void this.#await(page, rows, abort, total);
          continue;
        }
        this.#keep(page, rows);
      } catch (error) {
        this.#failed = error;
      }
      came = true;
    }
    if (came) this.changed();
  }

  async #await(page: number, rows: Promise<readonly Row[]>, abort: AbortController, total: number | null): Promise<void> {
    try {
      const came = await rows;
      if (abort.signal.aborted) return;
      this.#keep(page, came);
    } catch (error) {
      if (abort.signal.aborted) return;
      this.#failed = error;
    }
    this.#asked.delete(page);
    this.changed();
    this.#fetch(total);
  }

  #keep(page: number, rows: readonly Row[]): void {
    this.#held.delete(page);
    this.#held.set(page, rows);
    for (const oldest of this.#held.keys()) {
      if (this.#held.size <= PAGES_KEPT) break;
      this.#held.delete(oldest);
    }
  }

  again(): void {
    this.#failed = null;
    this.changed();
  }

  close(): void {
    this.#closed = true;
    for (const abort of this.#asked.values()) abort.abort();
  }
}
