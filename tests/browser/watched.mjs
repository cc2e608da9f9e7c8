// What the live page says of a run, as a person reads it.

const figure = (page, name) =>
  page.locator("dl div").filter({ has: page.locator("dt", { hasText: new RegExp(`^\\s*${name}\\b`) }) }).locator("dd");
const text = (page, name) => figure(page, name).innerText();
const number = (said) => (/\d/.test(said) ? Number(said.replace("−", "-").replace(/[^\d.-]/g, "")) : null);

export async function figures(page) {
  const status = await page.locator("header .badge").innerText();
  // Where it stands is said of one that has not ended.
  const bar = await figure(page, "Bar(?!s)").innerText({ timeout: status === "completed" ? 1 : undefined }).catch(() => "");
  return { bar: number(bar.split(" of ")[0]), equity: number(await text(page, "Equity")), trades: number(await text(page, "Trades")), drawdown: number(await text(page, "Drawdown")), status };
}

/** Once the page says so of itself. */
export async function until(page, wanted, limitMs = 30_000) {
  const end = Date.now() + limitMs;
  for (;;) {
    const now = await figures(page);
    if (wanted(now)) return now;
    if (Date.now() > end) throw new Error(`the page says ${JSON.stringify(now)}, and not what was waited for: ${wanted}`);
    await page.waitForTimeout(50);
  }
}

export const button = (page, name) => page.getByRole("button", { name, exact: true });
