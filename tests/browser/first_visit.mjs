// A person comes by a link that signs in, runs a first backtest with what is set, and looks at what came of it.
import { readFileSync } from "node:fs";
import { job, run, tab, visitor, wrongs } from "./browser.mjs";

run(async () => {
  const context = await visitor({ token: null, acceptDownloads: true });
  const page = await tab(context, `#/sign-in?token=${job.token}`);
  await page.getByRole("link", { name: /first backtest/i }).or(page.getByRole("button", { name: /first backtest/i })).first().click();
  const url = page.url();
  await page.getByRole("heading", { level: 1, name: "New backtest" }).waitFor();
  await page.getByRole("button", { name: "Run", exact: true }).click();
  await page.waitForURL(/#\/live\/bt_/);
  const backtestId = page.url().match(/bt_\w+/)[0];
  await page.getByRole("link", { name: /result/i }).first().click({ timeout: 60_000 });
  await page.waitForURL(/#\/result\//);
  const table = page.getByRole("grid", { name: "Trades" });
  await table.locator("[aria-rowindex='2']").click();
  const trade = page.getByRole("dialog");
  await trade.waitFor();
  await trade.getByRole("img").or(trade.locator("canvas")).first().waitFor();
  await page.keyboard.press("Escape");
  await trade.waitFor({ state: "detached" });
  await page.getByRole("button", { name: "Export" }).click();
  const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("menuitem", { name: /CSV/ }).or(page.getByRole("button", { name: /CSV/ })).first().click()]);
  const csv = readFileSync(await download.path(), "utf8");
  return { backtestId, tokenInUrl: url.includes(job.token) || page.url().includes(job.token), file: download.suggestedFilename(), csv, wrongs };
});
