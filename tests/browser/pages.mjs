// Every page, in both themes and at three widths: what axe finds, what is wider than its window, what is on the console.
import { axe, job, overflow, run, tab, visitor, wrongs } from "./browser.mjs";

const WIDTHS = [360, 1280, 3840];

async function looked(theme) {
  const found = [];
  const context = await visitor({ theme });
  const page = await tab(context, "#/");
  for (const [route, heading] of job.routes) {
    await page.evaluate((to) => (location.hash = to), route);
    await page.getByRole("heading", { level: 1, name: new RegExp(heading) }).first().waitFor();
    await page.waitForLoadState("networkidle");
    for (const width of WIDTHS) {
      await page.setViewportSize({ width, height: 900 });
      const wider = await overflow(page);
      if (wider) found.push(`${route} ${theme}: ${wider} px wider than ${width}`);
    }
    await page.setViewportSize({ width: 1280, height: 900 });
    found.push(...(await axe(page)).map((one) => `${route} ${theme}: ${one}`));
  }
  await context.close();
  const nobody = await visitor({ theme, token: null });
  const door = await tab(nobody, "#/");
  await door.getByRole("heading", { name: "backfleet" }).waitFor();
  found.push(...(await axe(door)).map((one) => `sign in ${theme}: ${one}`));
  return found;
}

run(async () => ({ found: [...(await looked("dark")), ...(await looked("light"))], wrongs }));
