import { fileURLToPath } from "node:url"
import { defineConfig, type TestProjectInlineConfiguration } from "vitest/config"

const source = (path: string) => fileURLToPath(new URL(path, import.meta.url))

// The SDK warns on Node 20, at every start. Workers and engines inherit this.
process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED = "true"

/** The same suite for each engine; `e2e/engine.setup.ts` starts the one that the project is named for. */
const endToEndOn = (engine: string): TestProjectInlineConfiguration => ({
  extends: true,
  test: {
    name: `e2e:${engine}`,
    include: ["**/*.e2e.ts"],
    globalSetup: "e2e/engine.setup.ts",
    setupFiles: "e2e/skip-without-engine.ts",
    // Tests share nothing but the engine, and loading the SDK anew for each file takes longer than the tests.
    isolate: false,
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
})

export default defineConfig({
  resolve: {
    // Tests need no build.
    alias: {
      // The first that fits is taken, and a name fits whatever lies below it.
      "@outbox-event-bus/dynamodb-aws-sdk-outbox/lambda": source("./src/lambda.ts"),
      "@outbox-event-bus/dynamodb-aws-sdk-outbox/opentelemetry": source("./src/opentelemetry.ts"),
      "@outbox-event-bus/dynamodb-aws-sdk-outbox/operations": source("./src/operations.ts"),
      "@outbox-event-bus/dynamodb-aws-sdk-outbox/testing": source("./src/testing.ts"),
      "@outbox-event-bus/dynamodb-aws-sdk-outbox": source("./src/index.ts"),
      "outbox-event-bus": source("./packages/outbox-event-bus/src/index.ts"),
    },
  },
  test: {
    coverage: {
      include: ["src/**/*.ts"],
      exclude: ["packages/**", "**/*.test.ts", "**/*.fixture.ts"],
      reporter: ["text-summary", "json"],
      thresholds: { lines: 95, branches: 95 },
    },
    projects: [
      {
        extends: true,
        test: {
          name: "unit",
          include: [
            "src/**/*.test.ts",
            "packages/*/src/**/*.test.ts",
            "e2e/compat/*.compat.ts",
            "e2e/original/*.test.ts",
            "{chaos,examples,scripts}/**/*.test.ts",
          ],
        },
      },
      endToEndOn("dynoxide"),
      endToEndOn("dynamodb-local"),
      {
        test: {
          name: "package",
          include: ["e2e/package/*.package.ts"],
          globalSetup: "e2e/package/tarballs.setup.ts",
          testTimeout: 120_000,
        },
      },
    ],
  },
})
