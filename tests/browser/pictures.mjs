// The pictures in the README: one page each, as PNG into the folder of the job.
import { ask, job, run, tab, visitor, wrongs } from "./browser.mjs";

run(async () => {
  for (const { name, route, theme } of job.pictures) {
    const context = await visitor({ width: 1280, height: 800, theme });
    const page = await tab(context, route);
    await page.getByRole("heading", { level: 1 }).first().waitFor();
    await page.waitForLoadState("networkidle");
    await ask("ready", { name });
    await page.waitForTimeout(1_500); // Charts draw in frames of their own.
    await page.screenshot({ path: `${job.folder}/${name}.png`, animations: "disabled" });
    await context.close();
  }
  return { wrongs };
});
