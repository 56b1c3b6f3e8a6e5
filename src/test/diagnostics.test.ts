/** What the channel says of whole deliveries: why an event was, or was not, delivered. */
import { execFile } from "node:child_process"
import { subscribe, unsubscribe } from "node:diagnostics_channel"
import { promisify } from "node:util"
import { beforeEach, describe, expect, it } from "vitest"
import { OUTBOX_DIAGNOSTICS_CHANNEL, type OutboxDiagnostic } from "../process/diagnostics.ts"
import { delay, pass, useFakeClock } from "./fake-clock.fixture.ts"
import { createOutbox, holding, item, refused } from "./outbox.fixture.ts"
import { createRelay, names } from "./relay.fixture.ts"

useFakeClock()

let told: OutboxDiagnostic[] = []
beforeEach(() => {
  told = []
  const listen = (message: unknown) => told.push(message as OutboxDiagnostic)
  subscribe(OUTBOX_DIAGNOSTICS_CHANNEL, listen)
  return () => void unsubscribe(OUTBOX_DIAGNOSTICS_CHANNEL, listen)
})

const about = (id: string) => told.filter((message) => "eventId" in message && message.eventId === id)
const whatOf = (messages: readonly OutboxDiagnostic[]) => messages.map(({ what }) => what)

it("tells the story of an outbox that delivers one event", async () => {
  const all = createOutbox(holding(item("e1", { payload: { card: "4711" } })))
  all.start()
  await pass()
  await all.outbox.stop()
  expect(whatOf(told)).toEqual([
    "started",
    "recovery-looked",
    "poll-started",
    "page-read",
    "claimed",
    "handler-started",
    "handler-ended",
    "delivered",
    "page-read",
    "settled",
    "poll-ended",
    "stopping",
    "stopped",
  ])
  expect(told.every(({ tableName }) => tableName === "outbox")).toBe(true)
  expect(JSON.stringify(told)).not.toContain("4711")
})

describe("why an event waits, or is released", () => {
  it("behind handlers that use all slots, told once", async () => {
    const { table, relay, onEvent, poll } = createRelay({ concurrency: 1 })
    for (const [i, id] of names(2).entries())
      table.put({ id, dueAt: Date.now() - 10 + i, isLastAttempt: i === 1 })
    onEvent(() => delay(500))
    const done = poll()
    await pass(400)
    expect(about("e0001")).toEqual([
      expect.objectContaining({ what: "claimed" }),
      expect.objectContaining({ what: "released", because: "all slots are taken" }),
      expect.objectContaining({ what: "waits", because: "all slots are taken" }),
    ])
    const stopped = relay.stop()
    await pass(1000)
    await Promise.all([done, stopped])
  })

  it("a suspect for another one", async () => {
    const { table, onEvent, poll } = createRelay({ concurrency: 5 })
    for (const [i, id] of names(3).entries()) table.put({ id, dueAt: Date.now() - 10 + i, crashCount: 2 })
    onEvent(() => delay(500))
    await poll()
    expect(about("e0002")).toEqual([
      expect.objectContaining({ what: "looked", suspicion: "strong" }),
      expect.objectContaining({ what: "waits", because: "another strong suspect comes first" }),
    ])
    await pass(5000)
  })

  it("one whose claim fails, and one that another worker has", async () => {
    const { table, life, poll } = createRelay()
    table.putAll(names(3))
    life.claim.mockImplementationOnce(async () => {
      throw new Error("throttled")
    })
    life.claim.mockImplementationOnce(async () => ({ kind: "lost" }))
    const done = poll()
    await pass(5000)
    await done
    expect(about("e0000")[0]).toMatchObject({
      what: "not-claimed",
      forMs: 1000,
      error: new Error("throttled"),
    })
    expect(told.some(({ what }) => what === "lost")).toBe(true)
  })

  it("and one that stop releases", async () => {
    const { table, relay, poll } = createRelay()
    table.putAll(["a"])
    table.latencyMs.claim = 50
    const done = poll()
    await pass(10)
    const stopped = relay.stop()
    await pass(100)
    await Promise.all([done, stopped])
    expect(about("a")).toEqual([
      expect.objectContaining({ what: "claimed" }),
      expect.objectContaining({ what: "released", because: "the outbox stops" }),
    ])
  })
})

describe("a dead letter that can't be read as an event", () => {
  const unreadable = { type: 7 }

  it("where it is found by its claim", async () => {
    const all = createOutbox({ ...holding(item("e1", unreadable)), fail: () => ({ Attributes: {} }) })
    all.start()
    await pass()
    await all.outbox.stop()
    expect(about("e1")).toEqual([
      expect.objectContaining({ what: "dead-lettered", eventType: "" }),
      expect.objectContaining({ what: "not-claimed" }),
    ])
  })

  it.each([
    ["dead-lettered", () => ({ Attributes: {} })],
    // Another worker came first; what the recovery wrote still counts.
    [
      "retried",
      () => {
        throw refused()
      },
    ],
  ])("where it is found by recovery: %s", async (what, setAside) => {
    const stuck = item("e1", { ...unreadable, status: "active", retryCount: 0, gsiSortKey: 1 })
    const all = createOutbox({
      stuck: (_, call) => ({ Items: call === 0 ? [stuck] : [] }),
      get: () => ({ Item: stuck }),
      recover: () => ({ Attributes: { ...stuck, status: "created", retryCount: 1 } }),
      setAside,
    })
    all.start()
    await pass()
    await all.outbox.stop()
    expect(whatOf(about("e1"))).toEqual(["recovered", what])
  })
})

it("with NODE_DEBUG=outbox is printed on stderr", async () => {
  const script = `
    import { Diagnostics } from ${JSON.stringify(new URL("../process/diagnostics.ts", import.meta.url).href)}
    new Diagnostics("orders").tell?.({ what: "claimed", eventId: "e1" })`
  const { stderr } = await promisify(execFile)(
    process.execPath,
    ["--import", "tsx", "--input-type=module", "--eval", script],
    { env: { ...process.env, NODE_DEBUG: "outbox" } },
  )
  expect(stderr).toMatch(/^OUTBOX \d+: claimed eventId="e1" tableName="orders"$/m)
})
