// Middleware around handlers, and around emits.
import type { OutboxEventBus } from "outbox-event-bus"

export function addMiddleware(bus: OutboxEventBus<unknown>): void {
  // #region middleware
  bus.addHandlerMiddleware(async (ctx, next) => {
    const startedAt = performance.now()
    await next()
    console.log(`${ctx.event.type} took ${performance.now() - startedAt} ms`)
  })

  bus.addEmitMiddleware(async (ctx, next) => {
    ctx.event = { ...ctx.event, metadata: { ...ctx.event.metadata, service: "orders" } }
    await next({ dropEvent: ctx.event.type.startsWith("debug.") })
  })
  // #endregion
}
