/** The entry `@outbox-event-bus/dynamodb-aws-sdk-outbox/operations`: what operators ask of an outbox and do to it. */
export type { Backlog, Count } from "./operations/backlog.ts"
export type { Progress, WorkOptions } from "./operations/change-each.ts"
export type { DeadLetterFilter, DeadLetterGroup } from "./operations/dead-letter-filter.ts"
export {
  type DeadLetterSelection,
  type DiscardOptions,
  OutboxOperator,
  type OutboxOperatorConfig,
} from "./operations/outbox-operator.ts"
export type { Finding } from "./operations/table-check.ts"
export { createOutboxTable, outboxTableDefinition, type TableOptions } from "./operations/table-definition.ts"
