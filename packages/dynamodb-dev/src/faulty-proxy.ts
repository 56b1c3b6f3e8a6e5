// Owns a TCP proxy in front of a real engine, on loopback, that treats connections as bad networks do.

import { once } from "node:events"
import { type AddressInfo, createServer, type Server, type Socket } from "node:net"
import { ProxiedConnection, type Slowness } from "./proxied-connection.ts"

/** What was done to connections. */
export interface ProxyCounts {
  accepted: number
  cut: number
  stalled: number
  halfOpened: number
}

/** A proxy in front of one endpoint. At first it passes everything on. */
export interface FaultyProxy {
  /** The URL to give to clients. */
  readonly endpoint: string
  readonly counts: ProxyCounts
  /** How many connections are open. */
  readonly connections: number
  /** Breaks all connections, and every new one until {@link heal}. */
  cut(): void
  /** Breaks all connections once; new ones work. */
  cutOnce(): void
  /**
   * Connections stay open, new ones are accepted, and nothing comes through until {@link heal}, when everything that was
   * held goes on. With "answers", requests still reach the engine and are carried out.
   */
  stall(what?: "everything" | "answers"): void
  /**
   * The engine's side of the open connections goes away and the client's side is never told, as when a machine or a
   * gateway between them has vanished. New connections work.
   */
  halfOpen(): void
  /** Delays what comes through, and limits how much, until {@link heal}. */
  slow(slowness: Slowness): void
  /** New connections work; what was stalled goes on. Those that were half-opened stay dead. */
  heal(): void
  /** Ends it, and all connections. */
  stop(): Promise<void>
}

/**
 * Starts a proxy in front of an engine.
 *
 * @param endpoint - The engine's URL, such as `http://127.0.0.1:8000`.
 * @example
 * ```ts
 * const proxy = await startFaultyProxy(database.endpoint)
 * const client = clientFor(proxy.endpoint)
 * proxy.stall("answers")
 * // ... writes are carried out, and nobody knows ...
 * proxy.cutOnce()
 * proxy.heal()
 * await proxy.stop()
 * ```
 */
export async function startFaultyProxy(endpoint: string): Promise<FaultyProxy> {
  const target = new URL(endpoint)
  const connections = new Set<ProxiedConnection>()
  const counts: ProxyCounts = { accepted: 0, cut: 0, stalled: 0, halfOpened: 0 }
  let isCut = false
  let stalled: "nothing" | "everything" | "answers" = "nothing"
  let slowness: Slowness | undefined

  const server: Server = createServer((client: Socket) => {
    counts.accepted++
    if (isCut) {
      counts.cut++
      client.on("error", () => {})
      client.resetAndDestroy()
      return
    }
    const connection = new ProxiedConnection(client, target, () => connections.delete(connection))
    connections.add(connection)
    connection.slowness = slowness
    connection.stalled = stalled
    if (stalled !== "nothing") counts.stalled++
  })
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  server.unref()

  const cutOnce = () => {
    for (const connection of connections) {
      counts.cut++
      connection.cut()
    }
  }
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    get counts() {
      return { ...counts }
    },
    get connections() {
      return connections.size
    },
    cut() {
      isCut = true
      cutOnce()
    },
    cutOnce,
    stall(what = "everything") {
      stalled = what
      counts.stalled += connections.size
      for (const connection of connections) connection.stalled = what
    },
    halfOpen() {
      counts.halfOpened += connections.size
      for (const connection of connections) connection.halfOpen()
    },
    slow(how) {
      slowness = how
      for (const connection of connections) connection.slowness = how
    },
    heal() {
      isCut = false
      stalled = "nothing"
      slowness = undefined
      for (const connection of connections) {
        connection.stalled = "nothing"
        connection.slowness = undefined
      }
    },
    async stop() {
      const closed = once(server, "close")
      server.close()
      for (const connection of connections) connection.cut()
      await closed
    },
  }
}
