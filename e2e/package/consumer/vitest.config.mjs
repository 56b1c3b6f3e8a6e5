// Runs the compatibility suite on the packages as they are installed here: as ESM, or as CommonJS.
import { createRequire } from "node:module"

const { resolve } = createRequire(import.meta.url)
const PACKAGES = ["@outbox-event-bus/dynamodb-aws-sdk-outbox", "outbox-event-bus"]

export default {
  resolve: {
    alias:
      process.env.COMPAT_FORMAT === "commonjs"
        ? PACKAGES.map((name) => ({ find: name, replacement: resolve(name) }))
        : [],
  },
  test: { include: ["compat/*.compat.ts"], reporters: ["dot"] },
}
