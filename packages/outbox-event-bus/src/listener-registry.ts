// Who handles which event type: exactly one handler per type.

import { DuplicateListenerError } from "./errors.ts"
import type { AnyListener } from "./event.ts"

/** What runs for a type, and the function that users name when they look it up or remove it. */
type Registration = { readonly listener: AnyListener; original: AnyListener }

/** The handlers of a bus. */
export class ListenerRegistry {
  private readonly listeners = new Map<string, Registration>()

  /** @throws {@link DuplicateListenerError} for a type that has a handler */
  add(eventType: string, listener: AnyListener): void {
    if (this.listeners.has(eventType)) throw new DuplicateListenerError(eventType)
    this.listeners.set(eventType, { listener, original: listener })
  }

  /**
   * Lets users name the handler of a type by `original`, whatever has been wrapped around that.
   *
   * @returns what runs for the type
   */
  nameBy(eventType: string, original: AnyListener): AnyListener | undefined {
    const registered = this.listeners.get(eventType)
    if (registered) registered.original = original
    return registered?.listener
  }

  /** Removes the handler of a type, if it is this one. */
  remove(eventType: string, listener: AnyListener): void {
    const registered = this.listeners.get(eventType)
    if (registered && (registered.listener === listener || registered.original === listener)) {
      this.listeners.delete(eventType)
    }
  }

  /** Removes the handler of one type or, without a type, all handlers. */
  clear(eventType?: string): void {
    if (eventType === undefined) this.listeners.clear()
    else this.listeners.delete(eventType)
  }

  /** What runs for a type. */
  find(eventType: string): AnyListener | undefined {
    return this.listeners.get(eventType)?.listener
  }

  /** The handler of a type, as it was registered. */
  findOriginal(eventType: string): AnyListener | undefined {
    return this.listeners.get(eventType)?.original
  }

  /** The types that have a handler, in the order of registration. */
  eventTypes(): string[] {
    return [...this.listeners.keys()]
  }
}
