/** Histories that once broke a promise, as the model has shrunk them, and ones that chance is slow to find. */
import { beforeAll, inject, test } from "vitest"
import { type Laboratory, replay as replayIn, type Setting } from "./history.ts"
import { openLaboratory } from "./laboratory.ts"
import type { Step } from "./step.ts"

let laboratory: Laboratory

beforeAll(async () => {
  const endpoint = inject("endpoint")
  if (endpoint === null) return
  const opened = await openLaboratory(endpoint)
  laboratory = opened
  return () => opened.close()
})

const replay = (setting: Setting, steps: readonly Step[]) => replayIn(laboratory, setting, steps)

test("a recovery whose response got lost is reported all the same", () =>
  replay({ projection: "ALL" }, [
    { do: "publish", worker: 0, ids: ["a"], dueIn: 0 },
    { do: "look", worker: 0 },
    { do: "claim", worker: 0, id: "a" },
    { do: "pass", ms: 31000 },
    { do: "look", worker: 0 },
    { do: "recover", worker: 0, id: "a", fates: ["lost"] },
  ]))

test("a renewal that got no response is retried as it was", () =>
  replay({ projection: "ALL" }, [
    { do: "publish", worker: 0, ids: ["a"], dueIn: 0 },
    { do: "look", worker: 0 },
    { do: "claim", worker: 0, id: "a" },
    { do: "pass", ms: 20000 },
    { do: "renew", worker: 0, id: "a", fates: ["lost", "lost"] },
    { do: "pass", ms: 1000 },
    { do: "renew", worker: 0, id: "a" },
    { do: "fail", worker: 0, id: "a" },
  ]))

test("a retry is due later than the attempt before, even if the worker's clock was set back meanwhile", () =>
  replay({ projection: "ALL" }, [
    { do: "publish", worker: 0, ids: ["a"], dueIn: 0 },
    { do: "look", worker: 0 },
    { do: "claim", worker: 0, id: "a" },
    { do: "skew", worker: 0, ms: -60000 },
    { do: "fail", worker: 0, id: "a" },
  ]))
