/** Errors as programs extend, construct, tell apart and read them. */
import {
  BackpressureError,
  BatchSizeLimitError,
  type BusEvent,
  ConfigurationError,
  DuplicateListenerError,
  type ErrorHandler,
  type FailedBusEvent,
  HandlerError,
  MaintenanceError,
  MaxRetriesExceededError,
  OperationalError,
  OutboxError,
  type OutboxErrorContext,
  TimeoutError,
  UnsupportedOperationError,
  ValidationError,
} from "outbox-event-bus"

interface PaymentContext extends OutboxErrorContext {
  paymentId: number
}

export class PaymentError extends OutboxError<PaymentContext> {
  constructor(paymentId: number, cause?: unknown) {
    super("payment failed", "PaymentError", { paymentId, cause })
  }
}
export class UntypedError extends OutboxError {
  constructor() {
    super("untyped", "UntypedError", { id: 1 })
  }
}
export class BareError extends OutboxError {
  constructor() {
    super("bare", "BareError")
  }
}
export class MissingTopicError extends ConfigurationError<{ topic: string }> {}
export class BadOrderError extends ValidationError<{ orderId: string }> {}
export class BrokerError extends OperationalError<{ broker: string }> {
  override name = "BrokerError"
}
export class SlowError extends TimeoutError {
  constructor() {
    super("the broker", 100, { broker: "b-1" })
  }
}
export class OrderHandlerError extends HandlerError<{ orderId: string }> {}
export class OrderLostError extends MaxRetriesExceededError<{ orderId: string }> {}
export class CleanupError extends MaintenanceError<{ table: string }> {}

export const event: BusEvent = { id: "1", type: "t", payload: 1, occurredAt: new Date() }
export const failed: FailedBusEvent = { ...event, retryCount: 5 }
export const errors: OutboxError[] = [
  new PaymentError(1),
  new ConfigurationError("m"),
  new ConfigurationError("m", { any: "thing", event, cause: "c" }),
  new ValidationError("m", { event: failed }),
  new OperationalError("m", { cause: new Error("c") }),
  new DuplicateListenerError("t"),
  new UnsupportedOperationError("retryEvents"),
  new UnsupportedOperationError("retryEvents", "MyOutbox"),
  new BatchSizeLimitError(100, 101),
  new TimeoutError("it", 1),
  new TimeoutError("it", 1, { more: true }),
  new BackpressureError("queue"),
  new BackpressureError("queue", { more: true }),
  new MaintenanceError("c"),
  new MaintenanceError("c", { more: true }),
  new HandlerError("c", event),
  new HandlerError("c", event, { more: true }),
  new MaxRetriesExceededError("c", failed),
  new MaxRetriesExceededError("c", failed, { more: true }),
  new OrderHandlerError("c", event, { orderId: "1" }),
  new OrderLostError("c", failed, { orderId: "1" }),
  new CleanupError("c", { table: "t" }),
  new MissingTopicError("m", { topic: "t" }),
  new BadOrderError("m", { orderId: "1" }),
  new BrokerError("m", { broker: "b" }),
]

/** As the quick start of the original reads an error. */
export const onError: ErrorHandler = (error: OutboxError) => {
  const about: BusEvent | FailedBusEvent | undefined = error.context?.event
  console.error(error.name, error.message, about?.id, about?.type, error.cause)
  if (error instanceof MaxRetriesExceededError) {
    const deadLetter: FailedBusEvent = error.event
    const count: number = error.retryCount
    console.error("dead letter", deadLetter.payload, count)
  } else if (error instanceof HandlerError) {
    console.error("will be retried", error.event.id)
  } else if (error instanceof PaymentError) {
    const paymentId: number | undefined = error.context?.paymentId
    console.error(paymentId)
  }
  // Wrappers add what they know.
  error.context = { ...error.context, service: "orders" }
}
