import { defineConfig } from "tsdown"

export default defineConfig({
  entry: ["src/index.ts", "src/lambda.ts", "src/opentelemetry.ts", "src/operations.ts", "src/testing.ts"],
  format: ["esm", "cjs"],
  platform: "node",
  target: "node20",
  dts: { sourcemap: true },
  sourcemap: true,
})
