// Owns a process that starts an engine, tells its pid, and then ends in the way it was told to, never calling stop().
// Usage: node --import tsx starting-parent.fixture.ts ENGINE wait|crash|forget
import type { EngineName } from "./engine-names.ts"
import { startDynamoDB } from "./start-dynamodb.ts"

const [engine, ending] = process.argv.slice(2)
const running = await startDynamoDB({ engine: engine as EngineName })
console.log(`pid:${running.pid}`)
if (ending === "crash") throw new Error("a crash that the test asked for")
if (ending === "wait") setInterval(() => {}, 60_000)
