// Owns a stand-in for the API, for tests that need a DynamoDB that refuses, answers late or never.
import { once } from "node:events"
import { createServer, type Server } from "node:http"
import type { AddressInfo } from "node:net"

/** What the server does with the n-th request, counted from 1. */
export type Behaviour = (request: number) => "answer" | "refuse" | "silence"

/** Serves ListTables. */
export async function answeringServer(behaviour: Behaviour = () => "answer") {
  let requests = 0
  const server: Server = createServer((_request, response) => {
    requests++
    const what = behaviour(requests)
    if (what === "silence") return
    response.writeHead(what === "answer" ? 200 : 500, { "content-type": "application/x-amz-json-1.0" })
    response.end(
      what === "answer" ? '{"TableNames":[]}' : '{"__type":"InternalServerError","message":"not yet"}',
    )
  })
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  const { port } = server.address() as AddressInfo
  return {
    port,
    endpoint: `http://127.0.0.1:${port}`,
    requests: () => requests,
    close() {
      server.closeAllConnections()
      server.close()
    },
  }
}
