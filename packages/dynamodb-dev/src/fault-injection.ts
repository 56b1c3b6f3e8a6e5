// Owns faults between a client and DynamoDB: a middleware at the wire, inside of the SDK's retries, so that each attempt
// meets its own fate and the SDK reacts as it would to the real thing.
import { AsyncLocalStorage } from "node:async_hooks"
import { setTimeout as delay } from "node:timers/promises"
import type { DynamoDBClient } from "@aws-sdk/client-dynamodb"
import { type FaultPlan, type ResolvedFaultPlan, resolveFaultPlan } from "./fault-plan.ts"
import type { WireQuery } from "./key-condition.ts"
import { LaggingIndex } from "./lagging-index.ts"
import { type Chance, seededChance } from "./seeded-chance.ts"
import {
  conflicting,
  discard,
  readWireRequest,
  success,
  THROTTLES,
  throttled,
  type WireRequest,
} from "./wire-answer.ts"

/** What was done to the requests, each of the SDK's attempts by itself. */
export interface FaultCounts {
  attempts: number
  throttled: number
  notSent: number
  answersLost: number
  conflicts: number
  delayed: number
  staleAnswers: number
}

/** Switches the faults of one client. */
export interface FaultInjector {
  /** A copy of the counts so far. */
  readonly counts: FaultCounts
  readonly isOn: boolean
  on(): void
  off(): void
  /** On for a while, then off. */
  burst(forMs: number): void
  /** Changes the plan; what is not named becomes 0. */
  plan(plan: FaultPlan): void
  /** Takes the faults off the client for good. */
  remove(): void
}

/** The options of {@link injectFaults}: a plan, and how to repeat it. */
export interface FaultOptions extends FaultPlan {
  /** The same seed gives the same fate to the same sequence of attempts. */
  seed: string | number
  /**
   * Whether faults begin at once.
   *
   * @default true
   */
  isOn?: boolean
}

const withoutFaults = new AsyncLocalStorage<true>()

/** Runs what it is given, and what that calls, without faults: for a test's own look at the table by a faulty client. */
export function exemptFromFaults<T>(run: () => T): T {
  return withoutFaults.run(true, run)
}

let injectors = 0

/**
 * Lets requests of the client fail as they do in the field. Works on every client of SDK version 3, and on the document
 * clients made from it.
 *
 * @throws TypeError for a value that is not allowed.
 * @example
 * ```ts
 * const faults = injectFaults(client, { seed: 7, throttle: 0.2, loseAnswer: 0.05, indexLagMs: 5000 })
 * // ... run the code under test ...
 * faults.off()
 * console.log(faults.counts)
 * ```
 */
export function injectFaults(
  client: DynamoDBClient,
  { seed, isOn = true, ...plan }: FaultOptions,
): FaultInjector {
  const injector = new ClientFaults(client, seededChance(seed), resolveFaultPlan(plan), isOn)
  const name = `injected-faults-${injectors++}`
  client.middlewareStack.add(
    (next) => async (args) => {
      const send = () => next(args)
      if (withoutFaults.getStore()) return send()
      // biome-ignore lint/suspicious/noExplicitAny: what comes over the wire has the same shape for all operations
      return (await injector.meet(readWireRequest(args.request), send)) as any
    },
    // Behind the deserializer: answers are made as they come over the wire.
    { step: "deserialize", priority: "low", name },
  )
  return {
    get counts() {
      return { ...injector.counts }
    },
    get isOn() {
      return injector.isOn
    },
    on: () => injector.switch(true),
    off: () => injector.switch(false),
    burst(forMs) {
      injector.switch(true)
      injector.burst = setTimeout(() => injector.switch(false), forMs).unref()
    },
    plan: (changed) => injector.change(resolveFaultPlan(changed)),
    remove() {
      injector.switch(false)
      client.middlewareStack.remove(name)
    },
  }
}

class ClientFaults {
  readonly counts: FaultCounts = {
    attempts: 0,
    throttled: 0,
    notSent: 0,
    answersLost: 0,
    conflicts: 0,
    delayed: 0,
    staleAnswers: 0,
  }
  isOn: boolean
  burst: NodeJS.Timeout | undefined
  readonly #client: DynamoDBClient
  readonly #chance: Chance
  #plan: ResolvedFaultPlan
  #indexes: LaggingIndex | undefined

  constructor(client: DynamoDBClient, chance: Chance, plan: ResolvedFaultPlan, isOn: boolean) {
    this.#client = client
    this.#chance = chance
    this.#plan = plan
    this.isOn = isOn
  }

  switch(isOn: boolean): void {
    clearTimeout(this.burst)
    this.isOn = isOn
    if (!isOn) this.#forgetIndexes()
  }

  change(plan: ResolvedFaultPlan): void {
    if (plan.indexLagMs !== this.#plan.indexLagMs) this.#forgetIndexes()
    this.#plan = plan
  }

  async meet(request: WireRequest, send: () => Promise<unknown>): Promise<unknown> {
    this.counts.attempts++
    const { operations } = this.#plan
    if (!this.isOn || (operations && !operations.includes(request.operation))) return send()
    const fate = this.#draw()
    if (fate.delayMs > 0) this.counts.delayed++
    if (fate.isDelayedBefore) await delay(fate.delayMs)

    if (fate.throttle) {
      this.counts.throttled++
      return { response: throttled(fate.throttleName) }
    }
    const conflict = fate.conflict ? conflicting(request) : undefined
    if (conflict) {
      this.counts.conflicts++
      return { response: conflict }
    }
    if (fate.failBeforeSending) {
      this.counts.notSent++
      throw connectionLost("before the request was sent")
    }
    const answer = (await this.#fromThePast(request, fate.lag)) ?? (await send())
    if (!fate.isDelayedBefore) await delay(fate.delayMs)
    if (fate.loseAnswer) {
      this.counts.answersLost++
      discard(answer)
      throw connectionLost("before the answer came")
    }
    return answer
  }

  /** Everything is drawn for every attempt, so that one attempt's fate doesn't move the fates of the next ones. */
  #draw() {
    const { throttle, conflict, failBeforeSending, loseAnswer, longestDelayMs, ...plan } = this.#plan
    const chance = this.#chance
    const isDelayed = chance.happens(plan.delay)
    const longDelayMs = chance.between(1, Math.max(1, longestDelayMs))
    return {
      throttle: chance.happens(throttle),
      throttleName: chance.pick(THROTTLES),
      conflict: chance.happens(conflict),
      failBeforeSending: chance.happens(failBeforeSending),
      loseAnswer: chance.happens(loseAnswer),
      delayMs: isDelayed ? longDelayMs : 0,
      isDelayedBefore: chance.happens(0.5),
      lag: chance.next(),
    }
  }

  async #fromThePast({ operation, body }: WireRequest, lag: number): Promise<unknown> {
    const { indexLagMs } = this.#plan
    const query = body as unknown as WireQuery
    if (indexLagMs === 0 || operation !== "Query" || query.IndexName === undefined) return undefined
    this.#indexes ??= new LaggingIndex(this.#client, indexLagMs, exemptFromFaults)
    const page = await this.#indexes.answer(query, lag * indexLagMs)
    if (page === undefined) return undefined
    this.counts.staleAnswers++
    return { response: success(page) }
  }

  #forgetIndexes(): void {
    this.#indexes?.close()
    this.#indexes = undefined
  }
}

/** An error as Node gives it; the SDK tries the request again. */
function connectionLost(when: string): Error {
  return Object.assign(new Error(`Injected: the connection broke ${when}`), { code: "ECONNRESET" })
}
