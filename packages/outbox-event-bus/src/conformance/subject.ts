// What the author of an outbox tells the conformance suite about it.

import type { IOutbox } from "../outbox.ts"

/** The options that the suite asks for. Everything else is the author's choice: pauses should be short. */
export type ConformanceOutboxOptions = {
  /** The outbox's option of that name. */
  maxRetries: number
}

/** A transaction of the author's database. */
export type ConformanceTransaction<TTransaction> = {
  /** What `publish` takes as its second argument. */
  transaction: TTransaction
  /** Commits; from then on the events are to be delivered. */
  commit: () => Promise<void>
  /** Gives the transaction up: its events must never be delivered. */
  rollback: () => Promise<void>
}

/** A place that keeps events: a table, a collection, a stream. The suite opens an empty one for each case. */
export type ConformanceStore<TTransaction> = {
  /**
   * Makes an outbox that is not started. Unless the capability `sharedStore` is declared, the suite calls it once for each
   * store.
   */
  createOutbox: (options: ConformanceOutboxOptions) => IOutbox<TTransaction> | Promise<IOutbox<TTransaction>>
  /** Begins a transaction; called where the capability `transactions` is declared. */
  begin?: () => ConformanceTransaction<TTransaction> | Promise<ConformanceTransaction<TTransaction>>
  /** Called when the case has ended and its outboxes have been stopped. */
  close?: () => void | Promise<void>
}

/** In what outboxes differ, each as its documentation has to say. What is left out is taken as "no". */
export type ConformanceCapabilities = {
  /**
   * How often the handler runs for an event that always fails. Adapters that keep a retry count in their store mostly stop
   * at `maxRetries`; the in-memory outbox counts the first run apart.
   */
  handlerRuns: "maxRetries" | "maxRetries + 1"
  /**
   * The order in which one outbox hands events over, one at a time: that of `occurredAt`, or that of `publish`. `false` for
   * outboxes that keep none.
   */
  order: "occurrence" | "publication" | false
  /**
   * The order in which `getFailedEvents` lists: by occurrence, newest first, or as events became dead letters, oldest first.
   * @defaultValue "newest occurrence first"
   */
  deadLetterOrder?: "newest occurrence first" | "as dead-lettered"
  /** `stop` first delivers what is queued already, instead of leaving it to the next `start`. */
  drainsOnStop?: boolean
  /**
   * A stop right after `start` lets the first poll deliver what it finds, at least one event. So a scheduled job that does no
   * more than `start(); await stop()` works through a backlog.
   */
  deliversBeforeStop?: boolean
  /** A second publish of an id is refused, and then nothing of its batch is stored. */
  refusesDuplicates?: boolean
  /** An event whose `occurredAt` is in the future is delivered then, not before. */
  delaysFutureEvents?: boolean
  /** `publish` can take part in a transaction that is committed later: the store has `begin`. */
  transactions?: boolean
  /** Several outboxes can work on one store, as do the processes of a service. */
  sharedStore?: boolean
}

/** An outbox to be tested. */
export type ConformanceSubject<TTransaction = unknown> = {
  /** Opens an empty store. */
  openStore: () => ConformanceStore<TTransaction> | Promise<ConformanceStore<TTransaction>>
  /** What the outbox says of itself. */
  capabilities: ConformanceCapabilities
  /**
   * Payloads that must come back as they were, beside the suite's own, which JSON can hold.
   * @defaultValue none
   */
  payloads?: readonly unknown[]
  /**
   * How long something that must happen may take, in milliseconds.
   * @defaultValue 5000
   */
  timeoutMs?: number
  /**
   * How long the suite watches for something that must not happen, in milliseconds. Several polls should fit into it.
   * @defaultValue 150
   */
  quietMs?: number
}

/** One promise of an outbox, as a test. */
export type ConformanceCase = {
  /** The promise, in words. */
  name: string
  /** Rejects with an `AssertionError` when the promise is not kept. Cases share nothing and may run side by side. */
  run: () => Promise<void>
}
