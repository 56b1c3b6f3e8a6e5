/**
 * Judges a scenario by its records: what was lost, what was delivered more than once and whether the promises allow that,
 * what is dead and should not be, and what is there although nobody published it. Pure: no clock, no database.
 */
import type { Entry, Journals } from "./journal.ts"
import type { ChaosPayload } from "./worker-settings.ts"

/** Why an event may be delivered once more although its handler succeeded. */
export const CAUSES = ["died", "frozen", "stalled", "no response", "overran", "restored", "original"] as const
export type Cause = (typeof CAUSES)[number]

/** As much of a worker as the judge must know. */
export interface WorkerRecord {
  name: string
  version: "new" | "original"
  diedAt?: number | undefined
  frozen: ReadonlyArray<{ from: number; until: number }>
}

export interface Evidence {
  published: ReadonlyMap<string, ChaosPayload>
  refused: ReadonlySet<string>
  orders: ReadonlySet<string>
  journals: Journals
  workers: readonly WorkerRecord[]
  processingTimeoutMs: number
  maxRetries: number
  /** When the copy of the table was taken that was put back later. */
  restoredFrom?: number | undefined
  /** What is in the tables at the end. */
  items: ReadonlyArray<{ id: string; status: string; [attribute: string]: unknown }>
  orderIds: ReadonlySet<string>
  deadLetterIds: ReadonlySet<string>
  /** Nobody died, stood still or failed: no lease may run out. */
  isGentle?: boolean
}

export interface Verdict {
  runs: number
  /** Runs that the promises allow, beyond one success for each event, by cause. */
  duplicates: Record<Cause, number>
  /** Runs that were repeated because the handler had failed. */
  retries: number
  /** Leases that were found to be over. */
  recoveries: number
  deadLetters: string[]
  /** Everything that breaks a promise, in words. */
  broken: string[]
  /** The events that this is about, as far as it is about one. */
  brokenIds: Set<string>
  lost: string[]
}

/** The handler's time includes the write that completes its event; that much of it a handler may use. */
const OVERRUN = 0.75

/** It takes as much of a lease at most to find out that a claimed event must not wait, and to give it back. */
const JUST_CLAIMED = 0.1

interface Run {
  id: string
  worker: WorkerRecord
  startedAt: number
  endedAt?: number
  isOk?: boolean
}

export function judge(evidence: Evidence): Verdict {
  const runs = runsById(evidence)
  const verdict: Verdict = {
    runs: [...runs.values()].reduce((sum, { length }) => sum + length, 0),
    duplicates: Object.fromEntries(CAUSES.map((cause) => [cause, 0])) as Record<Cause, number>,
    retries: 0,
    recoveries: 0,
    deadLetters: [],
    broken: [],
    brokenIds: new Set(),
    lost: [],
  }
  judgeItems(evidence, runs, verdict)
  judgeAttempts(evidence, runs, verdict)
  judgeRecoveries(evidence, verdict)
  for (const [id, ofEvent] of runs) judgeRepetitions(id, ofEvent, evidence, verdict)
  return verdict
}

function runsById({ journals, workers }: Evidence): Map<string, Run[]> {
  const runs: Run[] = []
  for (const worker of workers) {
    const open = new Map<number, Run>()
    for (const entry of journals.get(worker.name) ?? []) {
      if (entry.what === "started") {
        const run = { id: entry.id, worker, startedAt: entry.at }
        runs.push(run)
        open.set(entry.run, run)
      } else if (entry.what === "ended") {
        Object.assign(open.get(entry.run) as Run, { endedAt: entry.at, isOk: entry.isOk })
      }
    }
  }
  runs.sort((a, b) => a.startedAt - b.startedAt)
  return groupById(runs)
}

function judgeItems(evidence: Evidence, runs: Map<string, Run[]>, verdict: Verdict): void {
  const { published, refused, orders, orderIds, items, deadLetterIds, maxRetries } = evidence
  const statuses = new Map(items.map((item) => [item.id, item.status]))
  const exhausted = new Set(
    items.flatMap(({ id, retryCount }) => (Number(retryCount) >= maxRetries ? id : [])),
  )
  for (const id of published.keys()) {
    const status = statuses.get(id)
    const succeeded = runs.get(id)?.some(({ isOk }) => isOk)
    if (status === "completed" && succeeded) continue
    if (status === "failed" && exhausted.has(id) && deadLetterIds.has(id)) {
      verdict.deadLetters.push(id)
      continue
    }
    verdict.lost.push(id)
    verdict.brokenIds.add(id)
    const what = status === "completed" ? "completed, but no handler has succeeded" : (status ?? "gone")
    verdict.broken.push(`event ${id} is ${what}`)
  }
  for (const { id, status, gsiSortKey, expiresAt } of items) {
    if (!published.has(id))
      verdict.broken.push(`item ${id} was ${refused.has(id) ? "refused" : "never published"}`)
    if (status === "completed" && gsiSortKey !== undefined) {
      verdict.broken.push(`completed event ${id} is still in the index`)
    }
    // The original sets back what is completed.
    if (status !== "completed" && expiresAt !== undefined && !hasOriginal(evidence)) {
      verdict.broken.push(`event ${id} is ${status}, and may expire`)
    }
  }
  for (const id of orders)
    if (!orderIds.has(id)) verdict.broken.push(`order ${id} is gone; its event is ${statuses.get(id)}`)
  for (const id of orderIds) if (!orders.has(id)) verdict.broken.push(`order ${id} was refused, but is there`)
  for (const id of runs.keys())
    if (!published.has(id)) verdict.broken.push(`handler ran for ${id}, which nobody published`)
}

/**
 * An attempt is a run of the handler that has not completed the event. That a worker died which had claimed it ahead
 * counts as one too, but twice at most: then it is claimed only when it can run.
 */
function judgeAttempts(evidence: Evidence, runs: Map<string, Run[]>, verdict: Verdict): void {
  // The original claims ahead whatever was recovered before.
  if (hasOriginal(evidence)) return
  for (const { id, status, retryCount } of evidence.items) {
    const ran = (runs.get(id)?.length ?? 0) - (status === "completed" ? 1 : 0)
    const charged = Number(retryCount ?? 0)
    const unearned = charged - ran - 2
    if (unearned <= 0 || unearned <= claimsCutShort(id, evidence)) continue
    verdict.brokenIds.add(id)
    verdict.broken.push(
      `event ${id} has ${charged} attempts, but its handler ran ${ran} times without success`,
    )
  }
}

function hasOriginal({ workers }: Evidence): boolean {
  return workers.some(({ version }) => version === "original")
}

/** Claims that nobody could make use of: the answer did not come, or the worker died at once. */
function claimsCutShort(id: string, { workers, journals, processingTimeoutMs }: Evidence): number {
  return workers.reduce((count, { name, diedAt = Number.POSITIVE_INFINITY }) => {
    const entries = journals.get(name) ?? []
    const claimed = entries.findLast((entry) => isOf(entry, id, "active"))
    const diedAtOnce = claimed !== undefined && diedAt - claimed.at < processingTimeoutMs * JUST_CLAIMED
    return count + (diedAtOnce || hadNoResponse(entries, id) ? 1 : 0)
  }, 0)
}

function judgeRecoveries({ journals, isGentle, processingTimeoutMs }: Evidence, verdict: Verdict): void {
  const entries = [...journals.values()].flat()
  const recovered = entries.flatMap((entry) => (entry.what === "written" && entry.isRecovery ? entry.id : []))
  verdict.recoveries = recovered.length
  const hasStalled = entries.some((entry) => entry.what === "stalled" && entry.ms > processingTimeoutMs / 8)
  if (!isGentle || hasStalled) return
  for (const id of recovered) {
    verdict.brokenIds.add(id)
    verdict.broken.push(`event ${id} was left claimed, although nobody died`)
  }
}

/** Every run after the first needs a reason in the run before it. */
function judgeRepetitions(id: string, runs: readonly Run[], evidence: Evidence, verdict: Verdict): void {
  for (let i = 1; i < runs.length; i++) {
    const next = runs[i] as Run
    // A run that was overtaken may matter longer than the one just before.
    const before = runs.slice(0, i)
    const successful = before.findLast(({ isOk, endedAt }) => isOk && (endedAt as number) <= next.startedAt)
    const running = before.findLast(({ endedAt = Number.POSITIVE_INFINITY }) => endedAt > next.startedAt)
    const suspect = successful ?? running
    if (suspect === undefined) {
      verdict.retries++
      continue
    }
    const cause = causeOf(suspect, next, evidence)
    if (cause) verdict.duplicates[cause]++
    else {
      verdict.brokenIds.add(id)
      verdict.broken.push(
        `event ${id} was delivered by ${suspect.worker.name} ${describe(suspect)} and again by ${next.worker.name} ` +
          `${Math.round(next.startedAt - suspect.startedAt)} ms after that had started, without an allowed cause`,
      )
    }
  }
}

function causeOf(run: Run, next: Run, evidence: Evidence): Cause | undefined {
  const { worker, startedAt } = run
  const until = next.startedAt
  const between = (at: number) => at >= startedAt && at <= until
  const entries = (evidence.journals.get(worker.name) ?? []).filter(({ at }) => between(at))
  // One that was claimed before may still wait for its turn when the first one completes it after all.
  const isCompleted = isWrittenBefore(entries, run.id, claimedAt(next, evidence))

  const { restoredFrom } = evidence
  // What was written after the copy was taken has been undone.
  if (restoredFrom !== undefined && until > restoredFrom && !isWrittenBefore(entries, run.id, restoredFrom)) {
    return "restored"
  }
  if (isOriginalInvolved(run, next, evidence)) return "original"
  // Nothing excuses a delivery of what was completed; only the original's unconditional writes can bring it about.
  if (isCompleted) return undefined

  if (worker.diedAt !== undefined && between(worker.diedAt)) return "died"
  if (worker.frozen.some((freeze) => freeze.from <= until && freeze.until >= startedAt)) return "frozen"
  if ((run.endedAt ?? until) - startedAt >= OVERRUN * evidence.processingTimeoutMs) return "overran"
  if (hadNoResponse(entries, run.id)) return "no response"
  // The machine was too busy to renew the lease: for a good part of it, nothing ran.
  const stalledMs = entries.reduce((sum, entry) => sum + (entry.what === "stalled" ? entry.ms : 0), 0)
  return stalledMs > evidence.processingTimeoutMs / 8 ? "stalled" : undefined
}

/** A write did not come through, or was still unanswered at the end: over a half-open connection, no error ever comes. */
function hadNoResponse(entries: readonly Entry[], id: string): boolean {
  let unanswered = 0
  for (const entry of entries) {
    if (!("id" in entry) || entry.id !== id) continue
    if (entry.what === "trouble") return true
    if (entry.what === "sent") unanswered++
    if (entry.what === "answered") unanswered--
  }
  return unanswered > 0
}

function isOf(entry: Entry, id: string, status: string): boolean {
  return entry.what === "written" && entry.id === id && entry.status === status
}

function isWrittenBefore(entries: readonly Entry[], id: string, moment: number): boolean {
  return entries.some((entry) => isOf(entry, id, "completed") && entry.at < moment)
}

/** When a run's event was claimed, or last renewed: either is refused once it is completed. */
function claimedAt({ id, worker, startedAt }: Run, { journals }: Evidence): number {
  const entries = journals.get(worker.name) ?? []
  return entries.findLast((entry) => isOf(entry, id, "active") && entry.at <= startedAt)?.at ?? startedAt
}

/** A worker of the original writes without a condition, so it may set back what others hold or have completed. */
function isOriginalInvolved(run: Run, next: Run, { workers, journals }: Evidence): boolean {
  if (run.worker.version === "original") return true
  return workers
    .filter(({ version }) => version === "original")
    .flatMap(({ name }) => journals.get(name) ?? [])
    .some(
      (entry) => isOf(entry, run.id, "created") && entry.at >= run.startedAt && entry.at <= next.startedAt,
    )
}

function describe({ isOk, endedAt, startedAt }: Run): string {
  if (endedAt === undefined) return "(never ended)"
  return `(${isOk ? "succeeded" : "failed"} after ${Math.round(endedAt - startedAt)} ms)`
}

function groupById(runs: readonly Run[]): Map<string, Run[]> {
  const groups = new Map<string, Run[]>()
  for (const run of runs) {
    const group = groups.get(run.id)
    if (group) group.push(run)
    else groups.set(run.id, [run])
  }
  return groups
}
