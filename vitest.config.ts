import { fileURLToPath } from "node:url"
import { defineConfig } from "vitest/config"

const source = (path: string) => fileURLToPath(new URL(path, import.meta.url))

export default defineConfig({
  resolve: {
    alias: {
      "@outbox-event-bus/dynamodb-aws-sdk-outbox": source("./src/index.ts"),
      "outbox-event-bus": source("./packages/outbox-event-bus/src/index.ts"),
    },
  },
  test: {
    projects: [
      {
        extends: true,
        test: {
          name: "unit",
          include: ["src/**/*.test.ts", "packages/*/src/**/*.test.ts", "{examples,scripts}/**/*.test.ts"],
        },
      },
    ],
  },
})
