// The connection breaks while a run is watched: what is shown afterwards, after a reload, and in a window that was never cut.
import { ask, job, run, tab, visitor, wrongs } from "./browser.mjs";
import { button, figures, until } from "./watched.mjs";

const GONE = [/net::ERR_|WebSocket connection/];

async function picture(page) {
  await page.getByRole("tab", { name: /^Trades/ }).click();
  const rows = page.getByRole("tabpanel").locator("tbody tr");
  await rows.first().waitFor();
  return { ...(await figures(page)), rows: await rows.allInnerTexts() };
}

run(async () => {
  const context = await visitor();
  const page = await tab(context, `#/live/${job.backtestId}`, { expected: GONE });
  await until(page, (now) => now.status === "paused");
  await button(page, "Play").click();
  await until(page, (now) => now.bar > job.cutAt);
  await ask("cut");
  await page.getByText(/reconnecting/i).first().waitFor();
  const stood = await figures(page);
  await page.waitForTimeout(job.awayMs);
  await ask("back");
  await until(page, (now) => now.bar > stood.bar + 10);
  await button(page, "Pause").click();
  await until(page, (now) => now.status === "paused");
  const pictures = { kept: await picture(page) };
  await page.reload();
  const same = (now) => now.status === "paused" && now.bar === pictures.kept.bar && now.equity !== null;
  await until(page, same);
  pictures.reloaded = await picture(page);
  const another = await tab(await visitor(), `#/live/${job.backtestId}`);
  await until(another, same);
  pictures.another = await picture(another);
  return { pictures, server: await ask("server"), wrongs };
});
