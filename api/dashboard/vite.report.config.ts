import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig, type Plugin } from "vite";

const OUT = "static";

/** Puts script and style into report.html, so that it is one file that opens without a server. */
function oneFile(): Plugin {
  return {
    name: "one-file",
    writeBundle(_, bundle) {
      const path = join(OUT, "report.html");
      let page = readFileSync(path, "utf8");
      for (const one of Object.values(bundle)) {
        const asset = join(OUT, one.fileName);
        if (one.type === "chunk") {
          const script = one.code.replaceAll("</script", "<\\/script");
          page = page.replace(/<script type="module"[^>]*src="[^"]*"><\/script>/, "");
          page = page.replace("</body>", () => `<script type="module">${script}</script></body>`);
          rmSync(asset);
        } else if (one.fileName.endsWith(".css")) {
          page = page.replace(/<link rel="stylesheet"[^>]*>/, () => `<style>${String(one.source)}</style>`);
          rmSync(asset);
        }
      }
      writeFileSync(path, page);
    },
  };
}

export default defineConfig({
  base: "./",
  plugins: [svelte(), oneFile()],
  build: {
    outDir: OUT,
    emptyOutDir: false,
    target: "es2022",
    cssCodeSplit: false,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    rolldownOptions: { input: "report.html", output: { codeSplitting: false } },
  },
});
