/**
 * The promises of the design, checked after every step on what the engine really holds. They know nothing of the model:
 * an error that model and code have in common is seen here.
 */
import type { Item } from "../../src/item/event-item.ts"
import { numberOf } from "../../src/item/stored-value.ts"
import { MAX_RETRIES, type Outcome } from "./circumstances.ts"
import type { Step } from "./step.ts"

type Items = ReadonlyMap<string, Item>

/** What is known of an event beside its item. */
interface Ledger {
  /** Claims since it was published or retried: so many attempts can have failed at most. */
  claims: number
  /** Handlers that have succeeded. */
  deliveries: number
  /** It may be delivered again: a worker died, a lease ran out, a handler failed, an answer was lost, or time went wrong. */
  isExcused: boolean
}

export class Promises {
  private readonly ledgers = new Map<string, Ledger>()

  /**
   * @throws an error that names the promise, if a step has broken one.
   * @param held - The token of the claim that the step was about, where it was about one.
   */
  check(step: Step, outcome: Outcome, before: Items, after: Items, held: unknown): void {
    for (const id of new Set([...before.keys(), ...after.keys()])) {
      this.checkItem(id, step, outcome, before.get(id), after.get(id), held)
    }
    checkReports(step, outcome, before, after)
  }

  private checkItem(
    id: string,
    step: Step,
    outcome: Outcome,
    before: Item | undefined,
    after: Item | undefined,
    held: unknown,
  ): void {
    const ledger = this.ledgers.get(id) ?? { claims: 0, deliveries: 0, isExcused: false }
    const promise = (holds: boolean, text: string) => {
      if (!holds) throw new Error(`${text}: ${id} was ${show(before)} and is ${show(after)}`)
    }
    if (!after) {
      promise(step.do === "delete", "only a deletion ends an item")
      this.ledgers.delete(id)
      return
    }
    if (!before) {
      promise(isPublish(step) || step.do === "late", "no write creates an item but publish")
      promise(after.status === "created" && count(after) === 0, "what is published is new")
      this.ledgers.set(id, { claims: 0, deliveries: 0, isExcused: false })
    } else {
      this.ledgers.set(id, ledger)
      if (before.status === "created" && after.status === "active") ledger.claims++
      checkChange(step, before, after, held, promise)
      this.checkDelivery(id, step, outcome, ledger, promise)
      if (before.status === "failed" && after.status === "created") ledger.claims = 0
    }
    checkState(after, this.ledgers.get(id) as Ledger, promise)
  }

  private checkDelivery(
    id: string,
    step: Step,
    outcome: Outcome,
    ledger: Ledger,
    promise: (holds: boolean, text: string) => void,
  ): void {
    const isAboutIt = "id" in step && step.id === id
    if (step.do === "complete" && isAboutIt) {
      ledger.deliveries++
      promise(ledger.deliveries === 1 || ledger.isExcused, "one delivery, unless there is an excuse")
    }
    const hasFates = "fates" in step && (step.fates?.length ?? 0) > 0
    if (isAboutIt && (hasFates || step.do === "recover" || step.do === "fail")) ledger.isExcused = true
    // A process that ended may have run a handler; a write that comes late undoes what is known.
    if (outcome.result === "died" || step.do === "late") ledger.isExcused = true
  }
}

function isPublish(step: Step): boolean {
  return step.do === "publish" || step.do === "commit"
}

type Check = (holds: boolean, text: string) => void

/** What one step may do to an item that is there already. */
function checkChange(step: Step, before: Item, after: Item, held: unknown, promise: Check): void {
  const isChanged = show(before) !== show(after)
  promise(before.status !== "completed" || after.status === "completed", "a delivered event stays delivered")
  promise(!(before.status === "completed" && isChanged), "nothing changes a delivered event")
  if (step.do === "look") promise(!isChanged, "a look writes nothing")
  if ("id" in step && step.id !== after.id) promise(!isChanged, "a step about one event changes no other")
  if (isPublish(step)) promise(!isChanged, "a publish overwrites nothing")
  if (step.do === "renew" || step.do === "release" || step.do === "fail") {
    promise(!isChanged || before.claimToken === held, "only the owner of a claim renews, releases or fails")
  }
  if (step.do === "retry")
    promise(!isChanged || before.status === "failed", "retry changes dead letters only")
  if (step.do === "claim") {
    promise(before.status !== "active" || !isChanged, "nobody claims what another has claimed")
    promise(before.status !== "failed" || !isChanged, "nobody claims a dead letter")
  }
  if (before.status === "failed" && after.status === "completed") {
    // A late success of its handler is one, too.
    promise(
      ["discard", "complete", "late"].includes(step.do),
      "only an operator or a success ends a dead letter",
    )
    if (step.do === "discard") promise(typeof after.discardReason === "string", "what is given up says why")
  }
  if (step.do === "discard")
    promise(!isChanged || before.status === "failed", "discard changes dead letters only")
  const counted = count(after) - count(before)
  if (before.status === "failed" && after.status === "created") {
    promise(count(after) === 0, "a retried dead letter has all attempts before it")
    promise(step.do === "retry" || step.do === "late", "only retryEvents brings a dead letter back")
  } else {
    promise(counted === 0 || counted === 1, "an attempt is counted once")
    if (counted === 1)
      promise(["fail", "recover", "late"].includes(step.do), "only a failed attempt is counted")
  }
  if (crashes(after) > crashes(before))
    promise(step.do === "recover" || step.do === "late", "only recovery counts a crash")
  if (before.status !== "failed" && after.status === "failed") {
    const isRightful = count(after) >= MAX_RETRIES || !("type" in after)
    promise(isRightful, "an event is a dead letter after its last attempt, or when it can't be read")
  }
}

/** What must hold in each state. */
function checkState(item: Item, ledger: Ledger, promise: Check): void {
  const key = numberOf(item.gsiSortKey)
  const active = item.status === "active" ? 1 : 0
  promise(count(item) <= ledger.claims - active, "no more attempts are counted than were begun and ended")
  switch (item.status) {
    case "created":
      promise(key !== undefined, "what waits has a due time")
      promise(item.nextRetryAt === undefined || count(item) > 0, "only what was tried has a retry time")
      return
    case "active":
      promise(
        key !== undefined && key > (numberOf(item.startedOn) ?? Number.NaN),
        "a lease ends after its start",
      )
      promise(typeof item.claimToken === "string", "a claim has a token")
      return
    case "failed":
      promise(key === Date.parse(String(item.occurredAt)), "dead letters are indexed by their occurrence")
      promise(typeof item.lastError === "string", "a dead letter says why")
      return
    case "completed":
      promise(!("gsiSortKey" in item), "the index holds only work")
      promise(crashes(item) === 0, "what ended by itself has no crash to its name")
      promise(numberOf(item.completedOn) !== undefined, "what is delivered says when")
      return
    default:
      promise(false, "there are four states")
  }
}

/** Every attempt that was counted is reported, once. */
function checkReports(step: Step, { result, reports }: Outcome, before: Items, after: Items): void {
  if (result === "died" || (step.do !== "fail" && step.do !== "recover")) return
  const [was, is] = [before.get(step.id), after.get(step.id)]
  const wasCounted = was !== undefined && is !== undefined && count(is) === count(was) + 1
  const ofAttempts = reports.filter((name) => name !== "OperationalError")
  if (step.do === "fail" && ofAttempts.length !== 1)
    throw new Error(`a failure of a handler is reported once, not as [${reports}]`)
  if (step.do === "recover" && result === "done" && wasCounted && ofAttempts.length !== 1)
    throw new Error(`a recovery that was counted is reported once, not as [${reports}]`)
}

function count(item: Item): number {
  return numberOf(item.retryCount) ?? Number.NaN
}

function crashes(item: Item): number {
  return numberOf(item.crashCount) ?? 0
}

function show(item: Item | undefined): string {
  if (!item) return "not there"
  const entries = Object.entries(item).map(([name, value]) => [name, numberOf(value) ?? value])
  return JSON.stringify(Object.fromEntries(entries.sort()))
}
