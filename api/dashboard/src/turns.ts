// One tab at a time. Web Locks do it where the browser has them; it has them only where the page came over HTTPS or from
// this machine. Elsewhere tabs agree by a note in the storage that they share, as Fischer's algorithm has it: who finds no
// note writes its own, waits until every tab has surely seen it, and goes on only if the note is still its own.

const SETTLE_MS = 250;
const LOOK_AGAIN_MS = 100;
/** A tab that was closed in its turn holds it no longer than this. */
const LEASE_MS = 30_000;
const WAIT_MAX_MS = 60_000;

interface Note {
  owner: string;
  untilMs: number;
}

const sleep = (ms: number) => new Promise<void>((done) => setTimeout(done, ms));

/**
 * Does `work` while no other tab does work of this name. `settled` says, while it waits, that there is nothing left to do.
 * @throws {DOMException} TimeoutError where its turn did not come within a minute.
 */
export async function inTurn(name: string, work: () => Promise<void>, settled: () => boolean): Promise<void> {
  if (navigator.locks) return navigator.locks.request(name, { signal: AbortSignal.timeout(WAIT_MAX_MS) }, work);
  const key = `${name}.turn`;
  const owner = `${Date.now()}.${Math.random()}`;
  for (let waitedMs = 0; waitedMs < WAIT_MAX_MS; ) {
    if (settled()) return;
    if (isFree(noted(key))) {
      if (!note(key, { owner, untilMs: Date.now() + LEASE_MS })) return work(); // Nothing is stored: nobody shares anything.
      await sleep(SETTLE_MS);
      waitedMs += SETTLE_MS;
      if (noted(key)?.owner === owner) {
        try {
          return await work();
        } finally {
          if (noted(key)?.owner === owner) localStorage.removeItem(key);
        }
      }
    }
    const pauseMs = LOOK_AGAIN_MS * (1 + Math.random());
    await sleep(pauseMs);
    waitedMs += pauseMs;
  }
  throw new DOMException("another tab was busy for too long", "TimeoutError");
}

function isFree(held: Note | null): boolean {
  const leftMs = held ? held.untilMs - Date.now() : 0;
  return leftMs <= 0 || leftMs > LEASE_MS; // More than a lease: the clock was set back.
}

function noted(key: string): Note | null {
  try {
    return JSON.parse(localStorage.getItem(key) ?? "null") as Note | null;
  } catch {
    return null;
  }
}

function note(key: string, now: Note): boolean {
  try {
    localStorage.setItem(key, JSON.stringify(now));
    return true;
  } catch {
    return false;
  }
}
