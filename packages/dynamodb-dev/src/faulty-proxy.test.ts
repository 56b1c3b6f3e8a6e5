import { once } from "node:events"
import { type AddressInfo, connect, createServer, type Socket } from "node:net"
import { expect, onTestFinished, test, vi } from "vitest"
import { startFaultyProxy } from "./faulty-proxy.ts"

/** An engine that counts the words it is told and says each of them back. */
async function echoBehindProxy() {
  const heard: string[] = []
  const server = createServer((socket) => {
    socket.on("error", () => {})
    socket.on("data", (data) => {
      heard.push(data.toString())
      socket.write(data)
    })
  })
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  const proxy = await startFaultyProxy(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
  onTestFinished(async () => {
    await proxy.stop()
    server.close()
  })
  return { proxy, heard }
}

async function connected(endpoint: string) {
  const socket: Socket = connect({ port: Number(new URL(endpoint).port), host: "127.0.0.1" })
  const got: string[] = []
  const state = { socket, got, isClosed: false }
  socket.on("error", () => {})
  socket.on("data", (data) => got.push(data.toString()))
  socket.once("close", () => {
    state.isClosed = true
  })
  onTestFinished(() => void socket.destroy())
  await Promise.race([
    new Promise((resolve) => socket.once("connect", resolve)),
    new Promise((resolve) => socket.once("close", resolve)),
  ])
  return state
}

const eventually = (check: () => void) => vi.waitFor(check, { timeout: 5_000, interval: 5 })

test("at first, everything is passed on; cut breaks all connections and new ones, until it heals", async () => {
  const { proxy } = await echoBehindProxy()
  const first = await connected(proxy.endpoint)
  first.socket.write("hello")
  await eventually(() => expect(first.got).toEqual(["hello"]))

  proxy.cut()
  await eventually(() => expect(first.isClosed).toBe(true))
  const refused = await connected(proxy.endpoint)
  await eventually(() => expect(refused.isClosed).toBe(true))
  expect(proxy.counts).toEqual({ accepted: 2, cut: 2, stalled: 0, halfOpened: 0 })
  expect(proxy.connections).toBe(0)

  proxy.heal()
  const healed = await connected(proxy.endpoint)
  healed.socket.write("again")
  await eventually(() => expect(healed.got).toEqual(["again"]))
})

test("a stall holds everything, of old and new connections, and lets it go when it heals", async () => {
  const { proxy, heard } = await echoBehindProxy()
  const before = await connected(proxy.endpoint)
  proxy.stall()
  const during = await connected(proxy.endpoint)
  await eventually(() => expect(proxy.counts).toMatchObject({ accepted: 2, stalled: 2 }))
  before.socket.write("one")
  during.socket.write("two")

  // What isn't stalled overtakes it: when this has been answered, the others could have been too.
  const { proxy: other } = await echoBehindProxy()
  const reference = await connected(other.endpoint)
  reference.socket.write("reference")
  await eventually(() => expect(reference.got).toEqual(["reference"]))
  expect(heard).toEqual([])

  proxy.heal()
  await eventually(() => expect([before.got, during.got]).toEqual([["one"], ["two"]]))
  expect(before.isClosed || during.isClosed).toBe(false)
})

test("a stall of answers lets requests through", async () => {
  const { proxy, heard } = await echoBehindProxy()
  const one = await connected(proxy.endpoint)
  proxy.stall("answers")
  one.socket.write("written")
  await eventually(() => expect(heard).toEqual(["written"]))
  proxy.cutOnce()
  await eventually(() => expect(one.isClosed).toBe(true))
  expect(one.got).toEqual([])
})

test("half-open: the engine's side is gone, the client isn't told; new connections work", async () => {
  const { proxy, heard } = await echoBehindProxy()
  const old = await connected(proxy.endpoint)
  old.socket.write("before")
  await eventually(() => expect(old.got).toEqual(["before"]))
  proxy.halfOpen()
  old.socket.write("into the void")
  const fresh = await connected(proxy.endpoint)
  fresh.socket.write("fresh")
  await eventually(() => expect(fresh.got).toEqual(["fresh"]))
  proxy.heal()
  expect(heard).toEqual(["before", "fresh"])
  expect(old.isClosed).toBe(false)
  expect(proxy.counts.halfOpened).toBe(1)
})

test("slow: everything arrives, in order, later", async () => {
  const { proxy } = await echoBehindProxy()
  proxy.slow({ latencyMs: 20, bytesPerSecond: 1_000 })
  const one = await connected(proxy.endpoint)
  const startedAt = performance.now()
  one.socket.write("0123456789")
  await eventually(() => expect(one.got.join("")).toBe("0123456789"))
  // Twice the latency, and 10 ms for ten bytes, twice; timers may be a little early.
  expect(performance.now() - startedAt).toBeGreaterThan(50)
})
