// The first figures of results by their ids: the list's answer does not have them.

import { get } from "../../http";
import { Lazily } from "../../lazily.svelte";
import type { Summary } from "../../wire/messages";

export const summaries = new Lazily<Summary>();

export async function askSummary(backtestId: string): Promise<Summary> {
  return (await get("/api/algo/backtest/{backtest_id}/result", { path: { backtest_id: backtestId } })).summary as Summary;
}
