import { defineConfig } from "tsdown"

export default defineConfig({
  entry: ["src/cli.ts"],
  format: ["esm"],
  platform: "node",
  target: "node20",
  banner: "#!/usr/bin/env node",
})
