import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vitest/config";

// `npm run dev` serves the source and passes the rest on to a gateway: GATEWAY=http://127.0.0.1:8000 npm run dev
const gateway = process.env["GATEWAY"] ?? "http://127.0.0.1:8000";

export default defineConfig({
  base: "./",
  plugins: [svelte()],
  build: {
    outDir: "static",
    emptyOutDir: true,
    target: "es2022",
    // A policy without 'unsafe-inline' and data: takes neither inlined assets nor the preloading helper's inline script.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
  },
  server: { proxy: { "/api": gateway, "/docs": gateway, "/socket.io": { target: gateway, ws: true } } },
  test: { environment: "jsdom", include: ["src/**/*.test.ts"] },
  resolve: process.env["VITEST"] ? { conditions: ["browser"] } : {},
});
