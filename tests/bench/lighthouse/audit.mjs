// node audit.mjs JOB: what Lighthouse gives a page, 0 to 100 for each category. The page is signed in before.
import { launch } from "chrome-launcher";
import lighthouse from "lighthouse";
import desktop from "lighthouse/core/config/desktop-config.js";

const { url, token, chromium } = JSON.parse(process.argv[2]);
const chrome = await launch({ chromePath: chromium, chromeFlags: ["--headless=new", "--no-sandbox", "--disable-dev-shm-usage"] });
try {
  const categories = ["performance", "accessibility", "best-practices"];
  const signedIn = `${url}/#/sign-in?token=${token}`;
  const config = { ...desktop, settings: { ...desktop.settings, onlyCategories: categories } };
  const { lhr } = await lighthouse(signedIn, { port: chrome.port, logLevel: "error" }, config);
  const failed = Object.values(lhr.audits).filter((one) => one.score !== null && one.score < 0.9).map((one) => `${one.id}: ${one.displayValue ?? one.title}`);
  const scores = Object.fromEntries(categories.map((name) => [name, Math.round(lhr.categories[name].score * 100)]));
  console.log(JSON.stringify({ found: { scores, failed } }));
} finally {
  await chrome.kill();
}
