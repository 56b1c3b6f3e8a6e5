// Owns a process that freezes its worker, tells its pid, and waits to be killed.
import { startWorkerProcess } from "./worker-process.ts"

const worker = startWorkerProcess({
  entry: new URL("./worker-process.fixture.ts", import.meta.url),
  execArgv: ["--import", "tsx"],
  onMessage: () => {
    if (worker.isFrozen) return
    worker.freeze()
    process.send?.({ pid: worker.pid })
  },
})
