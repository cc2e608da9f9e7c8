// What is wrong in a form stands at its field, in words, and screen readers are told which: as one types, and after Run.
import { job, run, tab, visitor, wrongs } from "./browser.mjs";

/** The words at a field, once they are there; which element says them is what the field names. */
async function told(page, field) {
  const [invalid, ids] = [await field.getAttribute("aria-invalid"), await field.getAttribute("aria-describedby")];
  const words = await page.evaluate(
    (all) => (all ?? "").split(" ").map((id) => document.getElementById(id)).filter((one) => one?.getAttribute("role") === "alert").map((one) => one.innerText),
    ids,
  );
  return { invalid, words: words.join(" ") };
}

run(async () => {
  const found = [];
  for (const { label, value } of job.cases) {
    const context = await visitor();
    const page = await tab(context, "#/new", { expected: [/status of 4\d\d/] });
    await page.getByRole("button", { name: "Run", exact: true }).waitFor();
    await page.evaluate(() => document.querySelectorAll("details").forEach((one) => (one.open = true)));
    const field = page.getByLabel(label, { exact: true }).first();
    await field.fill(value);
    await field.blur();
    await page
      .waitForFunction((element) => element.getAttribute("aria-invalid") === "true", await field.elementHandle(), { timeout: 10_000 })
      .catch(() => undefined);
    found.push({ label, typed: await told(page, field) });
    await page.getByRole("button", { name: "Run", exact: true }).click();
    await page.waitForTimeout(300);
    found.at(-1).pressed = await told(page, field);
    found.at(-1).stayed = page.url().includes("#/new");
    await context.close();
  }
  return { found, wrongs };
});
