/** Middleware as programs write it: inline, as constants, and as classes. */
import {
  type EmitMiddleware,
  type EmitMiddlewareContext,
  type HandlerMiddleware,
  type HandlerMiddlewareContext,
  InMemoryOutbox,
  type Middleware,
  type MiddlewareContext,
  type MiddlewarePhase,
  type Next,
  OutboxEventBus,
} from "outbox-event-bus"

interface Session {
  id: string
}

export const timing: Middleware<Session> = async (ctx, next) => {
  const startedAt = Date.now()
  await next()
  const phase: MiddlewarePhase = ctx.phase
  console.log(phase, ctx.event.type, Date.now() - startedAt)
}
export const stamping: EmitMiddleware<Session> = async (ctx, next) => {
  const sessionId: string | undefined = ctx.transaction?.id
  ctx.event = { ...ctx.event, metadata: { ...ctx.event.metadata, sessionId } }
  await next()
}
export const filtering: HandlerMiddleware<Session> = async (ctx, next) => {
  await next({ dropEvent: ctx.event.type.startsWith("internal.") })
}
export class Tracer {
  readonly trace = async (ctx: MiddlewareContext<Session>, next: Next): Promise<void> => {
    if (ctx.phase === "emit") this.stamp(ctx)
    else this.resume(ctx)
    await next()
  }
  private stamp(ctx: EmitMiddlewareContext<Session>): void {
    ctx.event.metadata = { traceId: ctx.transaction?.id }
  }
  private resume(ctx: HandlerMiddlewareContext<Session>): void {
    console.log(ctx.event.metadata?.traceId)
  }
}
/** A test of a middleware calls it with contexts of its own. */
export const context: EmitMiddlewareContext<Session> = {
  phase: "emit",
  event: { id: "1", type: "t", payload: 1, occurredAt: new Date() },
  transaction: undefined,
}

export const bus = new OutboxEventBus<Session>(new InMemoryOutbox(), {
  onError: () => {},
  middlewareConcurrency: 5,
})
bus
  .addMiddleware(timing, new Tracer().trace)
  .addEmitMiddleware(stamping)
  .addHandlerMiddleware(filtering, async (_ctx, next) => next())
