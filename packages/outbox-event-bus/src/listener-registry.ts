// Who handles which event type: exactly one handler per type, and the life of a handler that is there for one event.

import { DuplicateListenerError } from "./errors.ts"
import type { AnyListener, BusEvent } from "./event.ts"

type Registration = {
  readonly listener: AnyListener
  readonly once: boolean
  /** A `once` handler at work. It has given up the type, but gets it back if it fails and nobody took the place. */
  spent: boolean
}

/** The handlers of a bus. */
export class ListenerRegistry {
  readonly #registrations = new Map<string, Registration>()

  /**
   * Registers a handler for each of the types, or for none of them.
   *
   * @throws {@link DuplicateListenerError} for a type that has a handler, or is given twice
   */
  add(eventTypes: readonly string[], listener: AnyListener, options: { once: boolean }): void {
    for (const [index, eventType] of eventTypes.entries()) {
      if (this.find(eventType) || eventTypes.indexOf(eventType) < index) {
        throw new DuplicateListenerError(eventType)
      }
    }
    for (const eventType of eventTypes) {
      this.#registrations.set(eventType, { listener, once: options.once, spent: false })
    }
  }

  /** Removes the handler of a type, if it is this one; also a `once` handler at work, which then doesn't come back. */
  remove(eventType: string, listener: AnyListener): void {
    if (this.#registrations.get(eventType)?.listener === listener) this.#registrations.delete(eventType)
  }

  /** Removes the handler of one type or, without a type, all handlers. */
  clear(eventType?: string): void {
    if (eventType === undefined) this.#registrations.clear()
    else this.#registrations.delete(eventType)
  }

  /** The handler of a type, as it was registered. */
  find(eventType: string): AnyListener | undefined {
    const registration = this.#registrations.get(eventType)
    return registration?.spent ? undefined : registration?.listener
  }

  /** The types that have a handler, in the order of registration. */
  eventTypes(): string[] {
    return [...this.#registrations.keys()].filter((eventType) => this.find(eventType))
  }

  /**
   * Runs the handler of the event's type; without one, the event is handled.
   *
   * A `once` handler leaves its place when it begins, so that it sees no second event and may name its successor. If it
   * fails, it takes the place again: otherwise the outbox's retry would find no handler and the event would be lost.
   */
  async dispatch(event: BusEvent): Promise<void> {
    const registration = this.#registrations.get(event.type)
    if (!registration || registration.spent) return
    if (!registration.once) {
      await registration.listener(event)
      return
    }
    registration.spent = true
    try {
      await registration.listener(event)
      if (this.#registrations.get(event.type) === registration) this.#registrations.delete(event.type)
    } catch (error) {
      registration.spent = false
      throw error
    }
  }
}
