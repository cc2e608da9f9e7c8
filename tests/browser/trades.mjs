// A result with very many trades: the table holds few elements, and shows the right rows wherever one goes.
import { job, run, tab, visitor, wrongs } from "./browser.mjs";

run(async () => {
  const context = await visitor();
  const page = await tab(context, `#/result/${job.backtestId}?tab=trades`);
  const table = page.getByRole("grid", { name: "Trades" });
  await table.waitFor();
  const first = async () => (await table.locator("[aria-rowindex='2']").innerText()).split(/\s*[\t\n]\s*/);
  const rows = () => table.locator("[aria-rowindex]").count();
  const settled = async (index, wanted) =>
    page.waitForFunction(
      ([at, text]) => document.querySelector(`[aria-rowindex='${at}']`)?.textContent?.includes(text),
      [index, wanted],
    );
  await settled(2, "long");
  const found = { rowCount: await table.getAttribute("aria-rowcount"), first: await first(), most: await rows() };
  await table.getByRole("button", { name: "Profit" }).click(); // Numbers begin with the greatest.
  await settled(2, job.greatest);
  found.sorted = await first();
  await table.focus();
  await page.keyboard.press("End");
  await settled(job.total + 1, job.least);
  found.most = Math.max(found.most, await rows());
  found.url = page.url();
  await page.reload();
  await settled(2, job.greatest);
  return { ...found, wrongs };
});
