// A real browser on the dashboard, driven by one job: JSON in the first argument, lines of JSON on stdout.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { chromium } from "playwright-core";

const AXE = createRequire(import.meta.url).resolve("axe-core/axe.min.js");
const WAIT_MS = 30_000;

export const job = JSON.parse(process.argv[2]);
const answers = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

/** Has the test that started this do something, and waits until it says what came of it. */
export async function ask(what, details = {}) {
  console.log(JSON.stringify({ ask: what, ...details }));
  return JSON.parse((await answers.next()).value);
}

export function say(found) {
  console.log(JSON.stringify({ found }));
}

let browser;
/** What no page may do: errors on its console, exceptions, what its policy forbids, answers of 5xx. */
export const wrongs = [];

export async function begin() {
  browser = await chromium.launch({ executablePath: job.chromium, args: ["--no-sandbox", "--disable-dev-shm-usage"] });
}

/** A window of a user's own: nothing is kept from another. */
export async function visitor({ width = 1280, height = 800, theme = "dark", token = job.token, ...more } = {}) {
  const context = await browser.newContext({ viewport: { width, height }, colorScheme: theme, reducedMotion: "reduce", ...more });
  context.setDefaultTimeout(WAIT_MS);
  if (token !== null) {
    const kept = JSON.stringify({ token, refreshToken: null, endsAtMs: null });
    await context.addInitScript((value) => localStorage.getItem("backfleet.session") ?? localStorage.setItem("backfleet.session", value), kept);
  }
  return context;
}

export async function tab(context, route, { expected = [] } = {}) {
  const page = await context.newPage();
  watch(page, expected);
  await page.goto(`${job.url}/${route}`);
  return page;
}

/** `expected` are patterns of what this page is meant to be refused or to lose. */
export function watch(page, expected = []) {
  const note = (what) => expected.some((one) => one.test(what)) || wrongs.push(`${what} (${page.url()})`);
  page.on("console", (message) => ["error", "warning"].includes(message.type()) && note(`console: ${message.text()} ${message.location().url}`));
  page.on("pageerror", (error) => note(`exception: ${error.stack ?? error.message}`));
  page.on("response", (response) => response.status() >= 500 && note(`${response.status()}: ${response.url()}`));
}

/** What axe finds, a line each. It is run where the page's policy does not reach. */
export async function axe(page) {
  await page.evaluate(readFileSync(AXE, "utf8"));
  const { violations } = await page.evaluate(() => globalThis.axe.run());
  return violations.map((one) => `${one.id}: ${one.help} (${one.nodes.slice(0, 3).map((node) => node.target.join(" ")).join("; ")})`);
}

/** How many pixels the page is wider than its window. */
export const overflow = (page) => page.evaluate(() => Math.max(0, document.documentElement.scrollWidth - innerWidth));

/** Runs it, tells what it found and what went wrong, and leaves no browser behind. */
export async function run(scenario) {
  await begin();
  try {
    say(await scenario());
  } catch (error) {
    console.log(JSON.stringify({ failed: error.stack ?? String(error), wrongs }));
    process.exitCode = 1;
  } finally {
    await browser.close();
    process.stdin.destroy();
  }
}
