// What middleware is: the contexts it receives, the way it goes on, its function types.

import type { BusEvent } from "./event.ts"

/** `emit`: before an event is published. `handler`: when the outbox delivers it. */
export type MiddlewarePhase = "emit" | "handler"

/**
 * What emit middleware receives.
 *
 * @typeParam T - the transaction of the outbox
 */
export type EmitMiddlewareContext<T = unknown> = {
  phase: "emit"
  /** The event to publish. May be changed or replaced, up to the call of `next`. */
  event: BusEvent
  /** The transaction that was given to `emit`. */
  transaction?: T | undefined
}

/**
 * What handler middleware receives.
 *
 * @typeParam T - the transaction of the outbox
 */
export type HandlerMiddlewareContext<T = unknown> = {
  phase: "handler"
  /** The event to handle. May be changed or replaced; the type it then has chooses the handler. */
  event: BusEvent
  /** Always undefined when the bus calls: an event is handled outside the transaction that published it. */
  transaction?: T | undefined
}

/** What middleware of both phases receives; `phase` tells which it is. */
export type MiddlewareContext<T = unknown> = EmitMiddlewareContext<T> | HandlerMiddlewareContext<T>

/**
 * Goes on to the next middleware and at last to the core: in the emit phase the event takes its place in what will be
 * published, in the handler phase its handler runs. Resolves when all of that has ended, and rejects with its failure.
 *
 * Each middleware must call it exactly once, or throw. With `dropEvent: true` nothing further runs: in the emit phase the
 * event is not published, in the handler phase it counts as handled.
 */
export type Next = (options?: { dropEvent?: boolean }) => Promise<void>

/**
 * Middleware of both phases.
 *
 * @example
 * ```ts
 * bus.addMiddleware(async (ctx, next) => {
 *   const startedAt = performance.now()
 *   await next()
 *   log.info({ phase: ctx.phase, type: ctx.event.type, ms: performance.now() - startedAt })
 * })
 * ```
 */
export type Middleware<T = unknown> = (ctx: MiddlewareContext<T>, next: Next) => Promise<void>

/** Middleware of the emit phase. */
export type EmitMiddleware<T = unknown> = (ctx: EmitMiddlewareContext<T>, next: Next) => Promise<void>

/** Middleware of the handler phase. */
export type HandlerMiddleware<T = unknown> = (ctx: HandlerMiddlewareContext<T>, next: Next) => Promise<void>
