// Has an outbox tell OpenTelemetry what it does.
// #region instrument
import { DynamoDBClient } from "@aws-sdk/client-dynamodb"
import { DynamoDBAwsSdkOutbox } from "@outbox-event-bus/dynamodb-aws-sdk-outbox"
import { instrumentOutbox } from "@outbox-event-bus/dynamodb-aws-sdk-outbox/opentelemetry"
import { OutboxEventBus } from "outbox-event-bus"

const outbox = new DynamoDBAwsSdkOutbox({ client: new DynamoDBClient({}), tableName: "outbox" })
instrumentOutbox(outbox)
export const bus = new OutboxEventBus(outbox, (error) => console.error(error))
// #endregion
