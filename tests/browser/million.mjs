// A run of very many bars that has ended: how soon its candles are drawn, and how soon finer ones after a zoom.
import { job, run, visitor, watch, wrongs } from "./browser.mjs";

const coarseness = () => document.body.innerText.match(/Each candle is ([\d,]+) bars/)?.[1];

run(async () => {
  const found = { candles: [], finer: [] };
  for (let i = 0; i < job.visits; i += 1) {
    const context = await visitor();
    const page = await context.newPage();
    watch(page);
    await page.goto(`${job.url}/#/live/${job.backtestId}`);
    const drawn = await page.waitForFunction(coarseness, undefined, { polling: "raf" });
    found.candles.push(await page.evaluate(() => performance.now()));
    const before = await drawn.jsonValue();
    const began = await page.evaluate(() => performance.now());
    for (let clicks = 0; clicks < 4; clicks += 1) await page.getByRole("button", { name: "Zoom in" }).click();
    await page.waitForFunction(
      (coarse) => {
        const now = document.body.innerText.match(/Each candle is ([\d,]+) bars/)?.[1];
        return now !== coarse;
      },
      before,
      { polling: "raf" },
    );
    found.finer.push((await page.evaluate(() => performance.now())) - began);
    await context.close();
  }
  return { found, wrongs };
});
