import { describe, expect, it } from "vitest";
import { href, parseRoute } from "./routes.svelte";

describe("routes", () => {
  it("go there and back", () => {
    const link = href(["result", "bt_a/b c"], { tab: "trades", from: 0, empty: "" });
    expect(link).toBe("#/result/bt_a%2Fb%20c?tab=trades&from=0");
    expect(parseRoute(link)).toEqual({ path: ["result", "bt_a/b c"], query: { tab: "trades", from: "0" } });
  });

  it.each([
    ["", { path: [], query: {} }],
    ["#/", { path: [], query: {} }],
    ["#nothing", { path: ["nothing"], query: {} }],
    ["#/a%ZZ?x=%ZZ?y", { path: ["a%ZZ"], query: { x: "%ZZ?y" } }],
  ])("take whatever stands in the address: %s", (hash, wanted) => expect(parseRoute(hash)).toEqual(wanted));
});
