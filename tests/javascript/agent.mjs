// A back end that drives backtests over MCP: it starts one, waits for its end by notifications alone, and reads it.
// Each argument is JSON: how to reach the server, and what to run. Prints one JSON object.
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { LoggingMessageNotificationSchema } from "@modelcontextprotocol/sdk/types.js";
import { z } from "zod";

const [server, run] = process.argv.slice(2).map((text) => JSON.parse(text));
const transport = server.url
  ? new StreamableHTTPClientTransport(new URL(server.url), {
      requestInit: { headers: { Authorization: `Bearer ${server.token}` } },
    })
  : new StdioClientTransport({ ...server, stderr: "inherit" });
const client = new Client({ name: "older-back-end", version: "1.0.0" });

const told = { progress: [], complete: [], failed: [], messages: [] };
const ended = new Map();
const endOf = (id) => {
  if (!ended.has(id)) {
    let resolve;
    const promise = new Promise((found) => (resolve = found));
    ended.set(id, { promise, resolve });
  }
  return ended.get(id);
};
const on = (method, heard) =>
  client.setNotificationHandler(
    z.object({ method: z.literal(method), params: z.record(z.string(), z.any()) }),
    ({ params }) => heard(params),
  );
on("backtest/progress", (params) => told.progress.push(params));
on("backtest/complete", (params) => {
  told.complete.push(params);
  endOf(params.backtestId).resolve({ result: params.result });
});
on("backtest/failed", (params) => {
  told.failed.push(params);
  endOf(params.backtestId).resolve({ error: params.error });
});
client.setNotificationHandler(LoggingMessageNotificationSchema, ({ params }) => told.messages.push(params));

const call = async (name, args) => {
  const answer = await client.callTool({ name, arguments: args });
  const [first] = answer.content;
  if (answer.isError || first.type !== "resource") return { isError: answer.isError, text: first.text };
  return { ...first.resource, json: JSON.parse(first.resource.text), structured: answer.structuredContent };
};

await client.connect(transport);
const started = await call("run_backtest", run);
const id = started.json.backtest_id;
const late = new Promise((_, reject) => setTimeout(() => reject(new Error("nobody told the end")), 60_000).unref());
const end = await Promise.race([endOf(id).promise, late]);
const report = {
  started,
  end,
  told,
  results: await call("get_backtest_results", { backtest_id: id }),
  metrics: await call("get_metrics", { backtest_id: id, metrics: ["total_return", "sharpe_ratio"] }),
  strategies: await call("list_strategies", {}),
  right: await call("validate_strategy", { strategy_config: { strategy_id: "sma_crossover", parameters: { fast: 5 } } }),
  wrong: await call("validate_strategy", { strategy_config: { strategy_id: "sma_crossover", parameters: { fast: -1 } } }),
  refused: await call("run_backtest", { ...run, asset_symbol: "NOPE" }),
};
process.stdout.write(`${JSON.stringify(report)}\n`);
await client.close();
