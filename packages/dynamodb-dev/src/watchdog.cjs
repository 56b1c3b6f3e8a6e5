// Owns the promise that no engine outlives the process that started it. It runs between the two: it starts the
// engine, and kills it when the channel to its own parent closes. The operating system closes the channel however
// that parent ends, by SIGKILL too, when no handler of the parent runs. It is CommonJS and plain JavaScript
// because it must be listening before its parent can be gone, and run without a loader.
// Usage (from engine-process.ts, with an IPC channel): watchdog.cjs FILE ARGUMENT...
const { spawn } = require("node:child_process")

const [file, ...args] = process.argv.slice(2)
const engine = spawn(file, args, { stdio: ["ignore", "inherit", "inherit"], windowsHide: true })

// SIGKILL: all data is in memory, so there is nothing to save, and an engine that hangs or is stopped ends as well.
const killEngine = () => engine.kill("SIGKILL")

engine.on("spawn", () => {
  if (process.connected) process.send({ pid: engine.pid }, () => {})
})
engine.on("error", (error) => {
  process.stderr.write(`${error.message}\n`)
  process.exitCode = 1
  if (process.connected) process.disconnect()
})
// Ending with the engine tells the parent that it is gone; nothing else keeps this process.
engine.on("exit", (code) => process.exit(code ?? 1))

for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, killEngine)
process.on("disconnect", killEngine)
if (!process.connected) killEngine()
