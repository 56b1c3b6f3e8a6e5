/** Skips every test of a project whose engine can't run here; `engine.setup.ts` has said why. */
import { beforeEach, inject } from "vitest"

beforeEach((context) => {
  context.skip(inject("endpoint") === null, "the engine can't run on this machine")
})
