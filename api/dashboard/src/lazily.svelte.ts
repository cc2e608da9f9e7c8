// What is asked for only when somebody looks at what needs it, a few at once, and then kept.

import { SvelteMap } from "svelte/reactivity";
import { Problem } from "./problem";

const AT_ONCE = 3;
const KEPT_MAX = 1_000;

export class Lazily<Value> {
  /** Null: it is not to be had. */
  readonly #known = new SvelteMap<string, Value | null>();
  #queue: { key: string; ask: () => Promise<Value> }[] = [];
  readonly #under = new Set<string>();

  /** Undefined while nothing is known of it. */
  of(key: string): Value | null | undefined {
    return this.#known.get(key);
  }

  put(key: string, value: Value | null): void {
    this.#known.set(key, value);
    if (this.#known.size <= KEPT_MAX) return;
    const [oldest] = this.#known.keys();
    if (oldest !== undefined) this.#known.delete(oldest);
  }

  want(key: string, ask: () => Promise<Value>): void {
    if (this.#known.has(key) || this.#under.has(key) || this.#queue.some((one) => one.key === key)) return;
    // What came into sight last is the likeliest to be in sight.
    this.#queue = [{ key, ask }, ...this.#queue].slice(0, KEPT_MAX);
    this.#next();
  }

  /** Nobody looks any more at what waits. */
  forget(): void {
    this.#queue = [];
  }

  /** For an element that needs it: `{@attach kept.seen(key, ask)}`. */
  seen(key: string, ask: () => Promise<Value>): (element: Element) => (() => void) | undefined {
    return (element) => {
      if (this.#known.has(key)) return undefined;
      const watch = new IntersectionObserver((entries) => entries.some((entry) => entry.isIntersecting) && this.want(key, ask));
      watch.observe(element);
      return () => watch.disconnect();
    };
  }

  #next(): void {
    while (this.#under.size < AT_ONCE) {
      const one = this.#queue.shift();
      if (!one) return;
      this.#under.add(one.key);
      void this.#take(one.key, one.ask).finally(() => {
        this.#under.delete(one.key);
        this.#next();
      });
    }
  }

  async #take(key: string, ask: () => Promise<Value>): Promise<void> {
    try {
      this.put(key, await ask());
    } catch (error) {
      // A server that is away or busy may say it later, when it is seen again; what is refused stays refused.
      if (error instanceof Problem && error.status >= 400 && error.status < 500 && error.status !== 429) this.put(key, null);
    }
  }
}
