// Owns the promise that no worker process outlives the one that started it, also when it is frozen, or its parent was
// killed: the operating system closes the channel to this process then, and it kills what is left.
const pids = new Set()

process.on("message", ({ started, ended }) => {
  if (started !== undefined) pids.add(started)
  if (ended !== undefined) pids.delete(ended)
})
process.on("disconnect", () => {
  for (const pid of pids) {
    try {
      process.kill(pid, "SIGKILL")
    } catch {
      // Gone already.
    }
  }
})
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => {})
