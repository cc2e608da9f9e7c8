// How much a first visit fetches, and how soon it is drawn: each visit with an empty cache.
import { job, run, tab, visitor, wrongs } from "./browser.mjs";

async function visit(route, token) {
  const context = await visitor({ token });
  const page = await context.newPage();
  const wire = await context.newCDPSession(page);
  let bytes = 0;
  await wire.send("Network.enable");
  wire.on("Network.loadingFinished", (one) => (bytes += one.encodedDataLength));
  await page.goto(`${job.url}/${route}`);
  await page.getByRole("heading", { level: 1 }).first().waitFor();
  await page.waitForLoadState("networkidle");
  const drawnMs = await page.evaluate(
    () =>
      new Promise((resolve) =>
        new PerformanceObserver((list) => resolve(list.getEntries().at(-1).startTime)).observe({ type: "largest-contentful-paint", buffered: true }),
      ),
  );
  await context.close();
  return { bytes, drawnMs };
}

run(async () => {
  const found = {};
  for (const [name, route, signedIn] of job.routes) {
    found[name] = [];
    for (let i = 0; i < job.visits; i += 1) found[name].push(await visit(route, signedIn ? job.token : null));
  }
  return { found, wrongs };
});
