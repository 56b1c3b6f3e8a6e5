/** What became of one event, worker by worker, for whoever looks into what broke. Pure. */
import type { Entry, Journals } from "./journal.ts"
import type { WorkerRecord } from "./judge.ts"

/** Longer stories are told from their end: that is where it broke. */
const LONGEST = 60

/** Lines such as `+1203 ms w3 active`, counted from the first thing that happened to the event. */
export function storyOf(id: string, journals: Journals, workers: readonly WorkerRecord[]): string[] {
  const moments = [...journals].flatMap(([worker, entries]) =>
    entries.flatMap((entry) => {
      const text = "id" in entry && entry.id === id ? describe(entry) : undefined
      return text ? [{ at: entry.at, worker, text }] : []
    }),
  )
  const involved = new Set(moments.map(({ worker }) => worker))
  for (const { name, diedAt } of workers) {
    if (diedAt !== undefined && involved.has(name)) moments.push({ at: diedAt, worker: name, text: "died" })
  }
  moments.sort((a, b) => a.at - b.at)
  const begin = moments[0]?.at ?? 0
  return moments
    .slice(-LONGEST)
    .map(({ at, worker, text }) => `+${Math.round(at - begin)} ms ${worker} ${text}`)
}

function describe(entry: Entry): string | undefined {
  if (entry.what === "started") return "handler starts"
  if (entry.what === "ended") return entry.isOk ? "handler succeeds" : "handler fails"
  if (entry.what === "written") return entry.isRecovery ? `recovers it as ${entry.status}` : entry.status
  if (entry.what === "trouble") return `no response: ${entry.error}`
  return undefined
}
