/** What a relay gives back when it stops is news to it when it starts again. */
import { expect, it, vi } from "vitest"
import type { Claim, EventLife } from "./event-life.ts"
import { Relay } from "./relay.ts"
import type { Row } from "./status-index.ts"

/** Events in memory: `due` shows those that nobody has claimed. */
function lifeOf(ids: string[]) {
  const open = new Set(ids)
  const rows = (): Row[] =>
    ids.filter((id) => open.has(id)).map((id) => ({ id, gsiSortKey: ids.indexOf(id) }))
  const life: EventLife = {
    due: async ({ limit }) => ({ rows: rows().slice(0, limit) }),
    claim: async ({ id }) => {
      if (!open.delete(id)) return { kind: "lost" }
      const hold = { id, token: id, leaseEndsAt: Date.now() + 60_000, dueAt: 0 }
      const event = { id, type: "t", payload: null, occurredAt: new Date(0) }
      const claim = { hold, event, retryCount: 0, wasRecovered: false, isLastAttempt: false }
      return { kind: "won", claim: claim as Claim }
    },
    renew: async () => true,
    release: async ({ hold }) => void open.add(hold.id),
    complete: async () => {},
    fail: async () => {},
  }
  return { life, open }
}

it("delivers at once after a restart what it gave back when it stopped", async () => {
  const ids = ["a", "b", "c", "d", "e", "f"]
  const { life, open } = lifeOf(ids)
  const relay = new Relay(life, { concurrency: 1, batchSize: 10, processingTimeoutMs: 60_000 })
  const delivered: string[] = []
  let stopped: Promise<void> | undefined
  const handler = async ({ id }: { id: string }) => {
    delivered.push(id)
    if (id !== "c" || stopped) return
    await vi.waitUntil(() => !open.has("d"))
    stopped = relay.stop()
  }

  await relay.handleDue(handler, Date.now() + 60_000)
  await stopped
  expect(delivered).toEqual(["a", "b", "c"])
  expect(open).toContain("d")
  relay.start()
  await relay.handleDue(handler, Date.now() + 60_000)
  expect(delivered).toEqual(ids)
})
