// The public names of the package.

export { formatErrorMessage } from "./error-message.ts"
export { reportEventError } from "./error-reporting.ts"
export {
  BackpressureError,
  BatchSizeLimitError,
  ConfigurationError,
  DuplicateListenerError,
  HandlerError,
  MaintenanceError,
  MaxRetriesExceededError,
  OperationalError,
  OutboxError,
  type OutboxErrorContext,
  TimeoutError,
  UnhandledEventError,
  UnsupportedOperationError,
  ValidationError,
} from "./errors.ts"
export {
  type AnyListener,
  type BusEvent,
  type BusEventInput,
  type EventHandler,
  EventStatus,
  type FailedBusEvent,
} from "./event.ts"
export type { IOutboxEventBus } from "./event-bus.ts"
export type {
  BatchHandlerOf,
  EventHandlerOf,
  EventInputOf,
  EventNamesOf,
  EventOf,
  EventTypeOf,
  UntypedEvents,
} from "./event-map.ts"
export { EventPublisher } from "./event-publisher.ts"
export { InMemoryOutbox, type InMemoryOutboxConfig } from "./in-memory-outbox.ts"
export type {
  EmitMiddleware,
  EmitMiddlewareContext,
  HandlerMiddleware,
  HandlerMiddlewareContext,
  Middleware,
  MiddlewareContext,
  MiddlewarePhase,
  Next,
} from "./middleware.ts"
export type { ErrorHandler, IOutbox, OutboxConfig, ResolvedOutboxConfig } from "./outbox.ts"
export { type OutboxBusConfig, OutboxEventBus, type OutboxEventBusConstructor } from "./outbox-event-bus.ts"
export { PollingService, type PollingServiceConfig } from "./polling-service.ts"
export type {
  BatchHandler,
  BatchOutcome,
  IPublisher,
  ProcessingOptions,
  PublisherConfig,
  RetryOptions,
} from "./publisher.ts"
export { createTimedPromise, type TimedPromise } from "./timed-promise.ts"
