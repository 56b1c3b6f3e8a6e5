/** The entry `@outbox-event-bus/dynamodb-aws-sdk-outbox/opentelemetry`: spans and metrics, by `@opentelemetry/api` alone. */
export { type InstrumentationOptions, instrumentOutbox, METRICS } from "./integrations/opentelemetry.ts"
