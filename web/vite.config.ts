import { defineConfig } from "vite";

export default defineConfig({
  // `npm run dev` serves the page with hot reload and hands the Socket.IO traffic to a running `sockeye serve`.
  server: {
    port: 5173,
    proxy: { "/socket.io": { target: "http://localhost:3000", ws: true } },
  },
  build: {
    target: "es2022",
    // Browsers that know light-dark(): its replacement would not follow a scheme chosen by script.
    cssTarget: ["chrome123", "firefox120", "safari17.5"],
    // The binary serves the page under a policy that forbids inline code and data: fonts; nothing may be inlined.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
});
