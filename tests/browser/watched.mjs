// What the live page says of a run, as a person reads it.

const text = (page, name) =>
  page.locator("dl div").filter({ has: page.locator("dt", { hasText: new RegExp(`^\\s*${name}\\b`) }) }).locator("dd").innerText();
const number = (said) => (/\d/.test(said) ? Number(said.replace("−", "-").replace(/[^\d.-]/g, "")) : null);

export async function figures(page) {
  const [bar] = (await text(page, "Bar")).split(" of ");
  const status = await page.locator("header .badge").innerText();
  return { bar: number(bar), equity: number(await text(page, "Equity")), trades: number(await text(page, "Trades")), drawdown: number(await text(page, "Drawdown")), status };
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
