// A paused run is stepped, sought, played, paused and let run to its end, by buttons and keys: what the page says after
// each command, and what the server says.
import { ask, job, run, tab, visitor, wrongs } from "./browser.mjs";
import { button, figures, until } from "./watched.mjs";

run(async () => {
  const context = await visitor();
  const page = await tab(context, `#/live/${job.backtestId}`);
  const seen = [];
  const note = async (what, page_) => seen.push({ what, page: page_, server: await ask("server") });
  const at = (bar) => (now) => now.bar === bar && now.status === "paused";

  await until(page, (now) => now.status === "paused");
  await button(page, "Step 1 bar").click();
  await note("one bar", await until(page, at(1)));
  await button(page, "Step 10 bars").click();
  await note("ten bars", await until(page, at(11)));
  await page.locator("h1").click();
  await page.keyboard.press("ArrowRight");
  await note("one bar by key", await until(page, at(12)));
  await page.keyboard.press("Shift+ArrowRight");
  await note("ten bars by key", await until(page, at(22)));
  await page.getByLabel("Go to (UTC)").or(page.getByLabel("Go to, UTC")).fill(job.date);
  await button(page, "Go").click();
  await note("to a date", await until(page, at(job.bar)));
  await button(page, "Back one bar").click();
  await note("one bar back", await until(page, at(job.bar - 1)));

  await page.getByRole("radio", { name: "100", exact: true }).check({ force: true });
  await button(page, "Play").click();
  await until(page, (now) => now.bar > job.bar + 20 && now.status === "running");
  await page.locator("h1").click();
  await page.keyboard.press("Space");
  await until(page, (now) => now.status === "paused");
  await note("played and paused", await figures(page));

  // Another tab shows the same, and steers the same.
  const other = await tab(context, `#/live/${job.backtestId}`);
  const here = await figures(page);
  await note("another tab", await until(other, at(here.bar)));
  await button(other, "Step 10 bars").click();
  await note("stepped in another tab", await until(page, at(here.bar + 10)));
  await other.close();

  await page.getByRole("radio", { name: "max", exact: true }).check({ force: true });
  await button(page, "Play").click();
  await note("to its end", await until(page, (now) => now.status === "completed"));
  await page.getByRole("link", { name: /result/i }).first().click();
  await page.getByRole("heading", { level: 1 }).first().waitFor();
  await page.getByText("Figures", { exact: true }).first().waitFor();
  return { seen, url: page.url(), wrongs };
});
