// The pages by the first part of their route. Each is a file of its own, fetched when it is first looked at.

import type { Component } from "svelte";

export interface Page {
  title: string;
  load: () => Promise<{ default: Component }>;
  /** In the navigation; undefined: reached from other pages. */
  nav?: { label: string; icon: string; admin?: boolean };
}

export const pages: Record<string, Page> = {
  fleet: { title: "Fleet", load: () => import("./pages/fleet/Fleet.svelte"), nav: { label: "Fleet", icon: "fleet" } },
  backtests: { title: "Backtests", load: () => import("./pages/backtests/Backtests.svelte"), nav: { label: "Backtests", icon: "list" } },
  new: { title: "New backtest", load: () => import("./pages/new/New.svelte"), nav: { label: "New", icon: "plus" } },
  compare: { title: "Compare", load: () => import("./pages/compare/Compare.svelte"), nav: { label: "Compare", icon: "compare" } },
  data: { title: "Market data", load: () => import("./pages/data/Data.svelte"), nav: { label: "Data", icon: "data" } },
  agents: { title: "Agents", load: () => import("./pages/agents/Agents.svelte"), nav: { label: "Agents", icon: "agent" } },
  keys: { title: "Keys", load: () => import("./pages/keys/Keys.svelte"), nav: { label: "Keys", icon: "key" } },
  users: { title: "Users", load: () => import("./pages/users/Users.svelte"), nav: { label: "Users", icon: "users", admin: true } },
  live: { title: "Live", load: () => import("./pages/live/Live.svelte") },
  result: { title: "Result", load: () => import("./pages/result/Result.svelte") },
};

export const HOME = "backtests";
