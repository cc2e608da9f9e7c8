// What the fleet page makes of an answer about the fleet.

import type { components } from "../../wire/openapi";

type Schemas = components["schemas"];
export type Worker = Schemas["Worker"];
export type QueueLevel = Schemas["QueueLevel"];
export type Failed = Schemas["RecentFailure"];
export type FleetRun = Schemas["FleetView"]["runs"][number];

export type Minute = Schemas["Throughput"];
export type Fleet = Schemas["FleetView"];

/** A worker says every few seconds that it is there. */
const SILENT_S = 15;

/** Seconds between two instants of one clock; never negative. */
export function secondsBetween(earlier: string, later: string): number {
  return Math.max(Date.parse(later) - Date.parse(earlier), 0) / 1000;
}

export const isSilent = (worker: Worker, now: string): boolean => secondsBetween(worker.lastSeen, now) > SILENT_S;

export function slotsOf(workers: Worker[]): { busy: number; free: number; slots: number } {
  const working = workers.filter((one) => !one.draining);
  const slots = workers.reduce((sum, one) => sum + one.slots, 0);
  const busy = workers.reduce((sum, one) => sum + one.busy, 0);
  return { busy, slots, free: working.reduce((sum, one) => sum + Math.max(one.slots - one.busy, 0), 0) };
}

/** Where lines across a plot of counts stand: whole numbers from 0 to at least `most`, at most five. */
export function ticksTo(most: number): number[] {
  const rough = Math.max(most, 1) / 4;
  const power = 10 ** Math.floor(Math.log10(Math.max(rough, 1)));
  const step = [1, 2, 5, 10].map((one) => one * power).find((one) => one >= rough) ?? 10 * power;
  const count = Math.ceil(Math.max(most, 1) / step);
  return Array.from({ length: count + 1 }, (_, index) => index * step);
}
