/** Publishers to a queue and to a topic, as their packages have them. */
import {
  type BusEvent,
  createTimedPromise,
  EventPublisher,
  type IOutboxEventBus,
  type IPublisher,
  type ProcessingOptions,
  type PublisherConfig,
  type RetryOptions,
  TimeoutError,
} from "outbox-event-bus"

interface QueueClient {
  send(entries: { Id: string; MessageBody: string }[]): Promise<void>
}

export interface QueuePublisherConfig extends PublisherConfig {
  client: QueueClient
  queueUrl: string
}

export class QueuePublisher<TTransaction = unknown> implements IPublisher {
  private readonly publisher: EventPublisher<TTransaction>

  constructor(
    bus: IOutboxEventBus<TTransaction>,
    private readonly config: QueuePublisherConfig,
  ) {
    this.publisher = new EventPublisher(bus, EventPublisher.withOverrides(config, { maxBatchSize: 10 }))
  }

  subscribe(eventTypes: string[]): void {
    this.publisher.subscribe(eventTypes, async (events: BusEvent[]) => {
      await this.config.client.send(
        events.map((event) => ({ Id: event.id, MessageBody: JSON.stringify(event.payload) })),
      )
    })
  }
}

export interface TopicProducer {
  produce(topic: string, messages: { key: string; value: string }[]): Promise<void>
}

export class TopicPublisher implements IPublisher {
  private readonly publisher: EventPublisher<unknown>

  constructor(
    bus: IOutboxEventBus<unknown>,
    private readonly producer: TopicProducer,
    retryConfig: RetryOptions = {},
    processingConfig: ProcessingOptions = {},
  ) {
    const attempts: number = retryConfig.maxAttempts ?? EventPublisher.DEFAULT_RETRY_ATTEMPTS
    const bufferSize: number = processingConfig.bufferSize ?? EventPublisher.DEFAULT_BUFFER_SIZE
    this.publisher = new EventPublisher(bus, {
      retryConfig: {
        maxAttempts: attempts,
        initialDelayMs: EventPublisher.DEFAULT_RETRY_DELAY_MS,
        maxDelayMs: EventPublisher.DEFAULT_RETRY_MAX_DELAY_MS,
      },
      processingConfig: {
        bufferSize,
        bufferTimeoutMs: EventPublisher.DEFAULT_BUFFER_TIMEOUT_MS,
        concurrency: EventPublisher.DEFAULT_CONCURRENCY,
      },
    })
  }

  subscribe(eventTypes: string[]): void {
    this.publisher.subscribe(eventTypes, (events) =>
      this.producer.produce(
        "events",
        events.map(({ id, payload }) => ({ key: id, value: JSON.stringify(payload) })),
      ),
    )
  }
}

/** A response that is waited for: a value, a promise, or anything with `then`. */
export function expectReply(reply: PromiseLike<string>): Promise<string> {
  const timed = createTimedPromise<string>(100, () => new TimeoutError("the reply", 100))
  timed.addCleanup(() => console.log("done"))
  timed.resolve("value")
  timed.resolve(Promise.resolve("value"))
  timed.resolve(reply)
  timed.reject()
  timed.reject(new Error("refused"))
  return timed.start()
}
