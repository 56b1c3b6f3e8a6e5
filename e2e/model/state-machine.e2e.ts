/** The short form of `npm run model`: random histories of several workers, on the engine and on the model. */
import { expect, inject, test } from "vitest"
import { openLaboratory } from "./laboratory.ts"
import { runRandomHistories } from "./random-histories.ts"

/** Fixed, so that the tests of a change are those of the change before. */
const SEED = 20_261_124
/** DynamoDB Local takes several times as long. */
const HISTORIES = { "e2e:dynoxide": 50, "e2e:dynamodb-local": 5 }
const PATIENCE_MS = 120_000

test("every promise is kept in random histories", { timeout: PATIENCE_MS }, async ({ task }) => {
  const laboratory = await openLaboratory(inject("endpoint") as string)
  try {
    const histories = HISTORIES[task.file.projectName as keyof typeof HISTORIES]
    const tally = await runRandomHistories(laboratory, { histories, seed: SEED })
    expect(tally.histories).toBe(histories)
  } finally {
    laboratory.close()
  }
})
