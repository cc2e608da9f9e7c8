// News of one's own backtests, wherever they were begun: it comes to each socket of a user without a subscription.

import type { Complete, Failure, PausedTold, Progress, StartedTold } from "../wire/messages";
import { live } from "./socket.svelte";

export interface OwnNews {
  "backtest:started": (told: StartedTold) => void;
  "backtest:progress": (told: Progress) => void;
  "backtest:complete": (told: Complete) => void;
  "backtest:error": (told: Failure) => void;
  "backtest:paused": (told: PausedTold) => void;
  "backtest:resumed": (told: PausedTold) => void;
  /** The connection stands, perhaps again: what came meanwhile may be lost. */
  connect: () => void;
}

/** Listens until what it gives back is called: give it back from an effect. */
export function hearOwn(news: Partial<OwnNews>): () => void {
  const socket = live.socket;
  const heard = Object.entries(news) as [string, (...told: unknown[]) => void][];
  for (const [name, listener] of heard) socket.on(name, listener);
  return () => {
    for (const [name, listener] of heard) socket.off(name, listener);
  };
}

/** Bars a second that are left to go, as a run says it; null where it does not. */
export function paceOf(told: Progress | undefined): number | null {
  if (!told?.etaSeconds || told.totalBars == null || told.processedBars == null) return null;
  return (told.totalBars - told.processedBars) / told.etaSeconds;
}
