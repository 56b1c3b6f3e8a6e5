/** An event at its last attempt is not kept waiting: if the process died, it would be a dead letter untried. */
import { expect, it } from "vitest"
import { pass, useFakeClock } from "./fake-clock.fixture.ts"
import { createOutbox, holding, item } from "./outbox.fixture.ts"

useFakeClock()

/** The ids that are released while the third handler runs, by the retry count of the events. */
async function givenBack(retryCount: number): Promise<string[]> {
  const ids = ["e1", "e2", "e3", "e4"]
  const all = createOutbox(holding(...ids.map((id) => item(id, id === "e4" ? { retryCount } : {}))), {
    maxRetries: 5,
  })
  let open = () => {}
  all.onEvent(({ id }) => (id === "e3" ? new Promise((resolve) => (open = resolve)) : Promise.resolve()))
  all.start()
  await pass()
  expect(all.handled).toEqual(["e1", "e2", "e3"])
  expect(all.inputsOf("claim").map(({ Key }) => Key.id)).toEqual(ids)
  const released = all.inputsOf("release").map(({ Key }) => Key.id)
  open()
  await pass()
  await all.outbox.stop()
  return released
}

it.each([
  { retryCount: 3, released: [] },
  { retryCount: 4, released: ["e4"] },
  { retryCount: 6, released: ["e4"] },
])("after $retryCount attempts of 5, released: $released", async ({ retryCount, released }) => {
  expect(await givenBack(retryCount)).toEqual(released)
})
