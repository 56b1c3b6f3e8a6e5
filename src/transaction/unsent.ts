/** Warns of transactions that nobody has sent: the helper's function has ended, and nobody has read the items. */
import { unref } from "../process/background-timer.ts"
import { warnOnce } from "../process/warnings.ts"
import type { TransactWriteItem } from "./collector.ts"

/** The caller may read the items, and send them, after the function has resolved; but within moments. */
const UNREAD_MS = 1000

interface Unread {
  readonly items: readonly TransactWriteItem[]
}

/** Those that are still to be read. */
const unread = new Map<Unread, ReturnType<typeof setTimeout>>()
let isWatchingExit = false

/** Unless {@link wasRead} is called in time, the process is warned. */
export function expectRead(transaction: Unread): void {
  wasRead(transaction)
  if (transaction.items.length === 0) return
  unread.set(transaction, unref(setTimeout(() => warn(transaction), UNREAD_MS)))
  // The process may end before that.
  if (!isWatchingExit) process.once?.("beforeExit", warnOfAll)
  isWatchingExit = true
}

export function wasRead(transaction: Unread): void {
  clearTimeout(unread.get(transaction))
  unread.delete(transaction)
}

function warnOfAll(): void {
  isWatchingExit = false
  for (const transaction of unread.keys()) warn(transaction)
}

function warn(transaction: Unread): void {
  wasRead(transaction)
  warnOnce(
    "OUTBOX_TRANSACTION_NOT_SENT",
    "A transaction of withDynamoDBAwsSdkTransaction was never sent: its function has ended, and nobody has read collector.items. " +
      "Its writes and events are not stored. Pass { client } as the second argument, or send the items yourself in a TransactWriteCommand.",
  )
}
