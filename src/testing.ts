/** The entry `@outbox-event-bus/dynamodb-aws-sdk-outbox/testing`: an outbox for the tests of whoever uses the real one. */
export { TestOutbox, type TestOutboxOptions } from "./testing/test-outbox.ts"
