/** The unit project of the adapter alone, as Stryker runs it: once for each mutant. */
import { fileURLToPath } from "node:url"
import { defineConfig } from "vitest/config"

export default defineConfig({
  resolve: {
    alias: {
      "outbox-event-bus": fileURLToPath(
        new URL("../packages/outbox-event-bus/src/index.ts", import.meta.url),
      ),
    },
  },
  test: {
    root: fileURLToPath(new URL("..", import.meta.url)),
    include: ["src/**/*.test.ts"],
    env: { AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: "true" },
  },
})
