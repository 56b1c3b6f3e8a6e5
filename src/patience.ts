/**
 * How long to wait for the database: no answer is waited for without end, and less once the process wants to stop.
 */
import { TimeoutError } from "outbox-event-bus"
import { unref } from "./background-timer.ts"

/**
 * Far longer than an answer takes, the SDK's retries included. Over a connection that hangs none ever comes, and a lease of
 * the usual length must leave time to try once more: else one such connection costs a second delivery.
 */
const ANSWER_MS = 10_000
/** While stopping: for an answer, and for further tries of a write that fails. */
const HURRY_MS = 5000

export class Patience {
  private hurriedAt: number | undefined
  private hurryTimer: NodeJS.Timeout | undefined
  private readonly giveUps = new Set<() => void>()

  /** @param leaseMs - After the length of a lease, a write is of no use any more. */
  constructor(private readonly leaseMs: number) {}

  get isHurried(): boolean {
    return this.hurriedAt !== undefined
  }

  /** From now on, nothing is waited for longer than a few seconds. */
  hurry(): void {
    if (this.isHurried) return
    this.hurriedAt = Date.now()
    const giveUpAll = () => {
      for (const giveUp of this.giveUps) giveUp()
    }
    this.hurryTimer = unref(setTimeout(giveUpAll, HURRY_MS))
  }

  /** The stop that was in a hurry has ended: nothing is left to be given up. What comes late is still sent in a hurry. */
  endStop(): void {
    clearTimeout(this.hurryTimer)
  }

  /** Undoes {@link hurry}. */
  takeTime(): void {
    this.hurriedAt = undefined
    clearTimeout(this.hurryTimer)
  }

  /** Whether a write that was first tried at `since` may be tried once more. */
  lasts(since: number): boolean {
    const until = since + this.leaseMs
    const hurriedUntil = this.hurriedAt === undefined ? until : Math.max(since, this.hurriedAt) + HURRY_MS
    return Date.now() < Math.min(until, hurriedUntil)
  }

  /**
   * Waits for an answer, but not for ever.
   * @throws {TimeoutError} if none came in time. What was sent may have been carried out.
   */
  async inTime<T>(answer: Promise<T>): Promise<T> {
    const limitMs = this.isHurried ? HURRY_MS : ANSWER_MS
    let timer: NodeJS.Timeout | undefined
    let giveUp: () => void = () => {}
    const timeout = new Promise<never>((_, reject) => {
      giveUp = () => reject(new TimeoutError("an answer of DynamoDB", limitMs))
      timer = unref(setTimeout(giveUp, limitMs))
    })
    this.giveUps.add(giveUp)
    try {
      return await Promise.race([answer, timeout])
    } finally {
      clearTimeout(timer)
      this.giveUps.delete(giveUp)
    }
  }
}
