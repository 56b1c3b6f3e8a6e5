/** One turn of the event loop, by something that no test runner's fake timers replace. */
import { MessageChannel } from "node:worker_threads"

/** Resolves when all promises that could settle without I/O and timers have done so. */
export function turnOfTheEventLoop(): Promise<void> {
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel()
    port1.once("message", () => {
      port1.close()
      resolve()
    })
    port2.postMessage(undefined)
  })
}
