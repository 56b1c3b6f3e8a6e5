// Splits what a buffer gathered into batches that the receiving service takes: so many events, so many bytes.

import { ConfigurationError } from "./errors.ts"
import type { BusEvent } from "./event.ts"
import type { BufferedEvent } from "./event-buffer.ts"

type Limits = {
  readonly maxBatchSize: number
  readonly maxBatchBytes: number
  readonly sizeOf: (event: BusEvent) => number
}

/**
 * Splits in order. An event that alone exceeds `maxBatchBytes` becomes a batch of its own, for the service to refuse. One that can't be
 * measured is in no batch: it is rejected, and the others go on.
 */
export function splitIntoBatches(buffered: readonly BufferedEvent[], limits: Limits): BufferedEvent[][] {
  const { maxBatchSize, maxBatchBytes } = limits
  const batches: BufferedEvent[][] = []
  let batch: BufferedEvent[] = []
  let bytes = 0
  for (const waiting of buffered) {
    const size = measure(waiting, limits)
    if (size === undefined) continue
    const isFull = batch.length >= maxBatchSize || bytes + size > maxBatchBytes
    if (batch.length === 0 || isFull) {
      batch = []
      bytes = 0
      batches.push(batch)
    }
    batch.push(waiting)
    bytes += size
  }
  return batches
}

/** The size of an event, where anybody asks for it; undefined if it could not be told, and the event has been rejected. */
function measure({ event, reject }: BufferedEvent, { maxBatchBytes, sizeOf }: Limits): number | undefined {
  if (maxBatchBytes === Infinity) return 0
  try {
    const size = sizeOf(event)
    if (typeof size === "number" && size >= 0) return size
    throw new ConfigurationError(
      `Invalid result of sizeOf for event ${JSON.stringify(event.id)}: ${String(size)}. Allowed: a number of bytes, at least 0.`,
      { eventId: event.id, eventType: event.type },
    )
  } catch (error) {
    reject(error)
    return undefined
  }
}

/**
 * The size of an event as UTF-8 encoded JSON.
 *
 * @throws TypeError for what JSON can't hold, such as a BigInt or a cycle
 */
export function jsonBytes(event: BusEvent): number {
  return Buffer.byteLength(JSON.stringify(event))
}
