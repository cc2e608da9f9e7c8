// A run that is watched at a speed: how long each frame took, and what the page keeps of memory.
import { ask, job, run, tab, visitor, wrongs } from "./browser.mjs";

async function heapBytes(wire) {
  await wire.send("HeapProfiler.collectGarbage");
  const { usedSize } = await wire.send("Runtime.getHeapUsage");
  return usedSize;
}

run(async () => {
  const context = await visitor({ reducedMotion: "no-preference" });
  const page = await tab(context, `#/live/${job.backtestId}`);
  const wire = await context.newCDPSession(page);
  await page.getByRole("heading", { level: 1 }).first().waitFor();
  await page.waitForLoadState("networkidle");
  await ask("begin");
  await page.waitForTimeout(2_000);
  const heaps = [await heapBytes(wire)];
  const frames = [];
  for (let part = 0; part < job.parts; part += 1) {
    frames.push(
      ...(await page.evaluate(
        (forMs) =>
          new Promise((resolve) => {
            const took = [];
            const began = performance.now();
            let before = began;
            const frame = (now) => {
              took.push(now - before);
              before = now;
              if (now - began < forMs) requestAnimationFrame(frame);
              else resolve(took.slice(1));
            };
            requestAnimationFrame(frame);
          }),
        job.partMs,
      )),
    );
    heaps.push(await heapBytes(wire));
  }
  const shown = await ask("shown");
  return { frames, heaps, shown, wrongs };
});
