// A list that comes by pages, each behind the cursor of the one before.

export interface Page<Item> {
  items: Item[];
  nextCursor: string | null;
}

export class Paged<Item> {
  items = $state.raw<Item[]>([]);
  cursor = $state<string | null>(null);
  /** Whether a first page has come. */
  loaded = $state(false);
  busy = $state(false);
  problem = $state.raw<unknown>(null);

  constructor(private readonly get: (ask: { cursor: string | null; signal?: AbortSignal }) => Promise<Page<Item>>) {}

  /** The page behind `cursor`, or the first in place of all that is there. An aborted one changes nothing. */
  async more(cursor: string | null, signal?: AbortSignal): Promise<void> {
    this.busy = true;
    try {
      const page = await this.get({ cursor, ...(signal ? { signal } : {}) });
      if (signal?.aborted) return;
      this.items = cursor === null ? page.items : [...this.items, ...page.items];
      this.cursor = page.nextCursor;
      this.loaded = true;
      this.problem = null;
    } catch (error) {
      if (signal?.aborted) return;
      this.problem = error;
    }
    this.busy = false;
  }
}
