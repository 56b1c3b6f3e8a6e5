/**
 * What a delivery does and does not do, and why, for whoever asks: on a channel of `node:diagnostics_channel`, and with
 * `NODE_DEBUG=outbox` on stderr. Without a subscriber, a message is not even made.
 */
import { channel } from "node:diagnostics_channel"
import { debuglog, inspect } from "node:util"

/** The name of the channel on which an outbox tells what it does: see {@link OutboxDiagnostic}. */
export const OUTBOX_DIAGNOSTICS_CHANNEL = "outbox-event-bus:dynamodb-aws-sdk"

/**
 * A message of the channel: `what` happened in the delivery of a table. Messages carry ids and types of events, never a payload.
 *
 * - `started`, `stopping`, `stopped`: the delivery, by `start()` and `stop()`.
 * - `poll-started`; `poll-ended` with its `outcome`: "done", "unfinished" (its time was over, the next one follows at once), "unsure"
 *   (events may be left, it looks again soon), or "failed".
 * - `page-read`: the index showed `rows` due events, of which `news` had not been seen a moment ago.
 * - `looked`: an event was read before it is claimed; `suspicion` is "gone" where it was not there to be claimed.
 * - `claimed`; `lost`, to another worker; `not-claimed`: the claim failed, or the item can't be read; it is left alone for `forMs`.
 * - `waits`: why a queued event does not start yet; told once for each reason.
 * - `handler-started`, `handler-ended` with its duration; `settled`: its result is written, or it was reported that it could not be.
 * - `published`: an event was stored, or pushed into a transaction of the caller's.
 * - `delivered`, `retried`, `dead-lettered`: what was written of an attempt; `recovered`, before one of the last two, where its worker
 *   had died or was late.
 * - `released`: a claimed event was released without counting an attempt.
 * - `lease-lost`: another worker has the event.
 * - `recovery-looked`: expired leases that were found, and those that were recovered.
 */
export type OutboxDiagnostic = { readonly tableName: string } & Diagnostic

type Diagnostic =
  | { readonly what: "started" | "stopping" | "stopped" | "poll-started" }
  | { readonly what: "poll-ended"; readonly outcome: "done" | "unfinished" | "unsure" | "failed" }
  | { readonly what: "page-read"; readonly rows: number; readonly news: number }
  | {
      readonly what: "looked"
      readonly eventId: string
      readonly suspicion: "none" | "weak" | "strong" | "gone"
    }
  | {
      readonly what: "published" | "delivered" | "retried" | "dead-lettered" | "recovered"
      readonly eventId: string
      readonly eventType: string
    }
  | { readonly what: "claimed" | "lost" | "lease-lost" | "settled"; readonly eventId: string }
  | {
      readonly what: "not-claimed"
      readonly eventId: string
      readonly forMs?: number
      readonly error?: unknown
    }
  | { readonly what: "waits" | "released"; readonly eventId: string; readonly because: string }
  | {
      readonly what: "handler-started"
      readonly eventId: string
      readonly eventType: string
      readonly attempt: number
    }
  | {
      readonly what: "handler-ended"
      readonly eventId: string
      readonly ms: number
      readonly hasSucceeded: boolean
    }
  | { readonly what: "recovery-looked"; readonly found: number; readonly recovered: number }

const target = channel(OUTBOX_DIAGNOSTICS_CHANNEL)

/** Tells of the delivery from one table. */
export class Diagnostics {
  constructor(private readonly tableName: string) {}

  /** To be called as `tell?.({ … })`: `undefined`, so that no message is made, while nobody listens. */
  get tell(): ((diagnostic: Diagnostic) => void) | undefined {
    return target.hasSubscribers ? this.publish : undefined
  }

  private readonly publish = (diagnostic: Diagnostic): void => {
    target.publish({ tableName: this.tableName, ...diagnostic } satisfies OutboxDiagnostic)
  }
}

const debug = debuglog("outbox")
if (debug.enabled) target.subscribe((message) => debug("%s", asLine(message as OutboxDiagnostic)))

/** `claimed eventId="o-1" tableName="outbox"`: on one line whatever ids and errors have in them. */
export function asLine({ what, tableName, ...details }: OutboxDiagnostic): string {
  const shown = Object.entries({ ...details, tableName }).map(([name, value]) => {
    const text = value instanceof Error ? value.message : value
    return `${name}=${typeof text === "string" ? JSON.stringify(text) : inspect(text, { breakLength: Number.POSITIVE_INFINITY })}`
  })
  return [what, ...shown].join(" ")
}
