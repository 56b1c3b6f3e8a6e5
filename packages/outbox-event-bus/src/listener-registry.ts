// Who handles which event type: exactly one handler per type.

import { DuplicateListenerError } from "./errors.ts"
import type { AnyListener } from "./event.ts"

/** A listener that the bus has wrapped knows the function that was registered, which is the one that users name. */
interface WrappedListener extends AnyListener {
  original?: AnyListener
}

/** Runs `handler` in its place; what users registered, look up and remove stays `handler`. */
export function wrapListener(handler: AnyListener, wrapper: AnyListener): AnyListener {
  return Object.assign(wrapper, { original: handler })
}

/** The handlers of a bus. */
export class ListenerRegistry {
  private readonly listeners = new Map<string, WrappedListener>()

  /** @throws {@link DuplicateListenerError} for a type that has a handler */
  add(eventType: string, listener: AnyListener): void {
    if (this.listeners.has(eventType)) throw new DuplicateListenerError(eventType)
    this.listeners.set(eventType, listener)
  }

  /** Removes the handler of a type, if it is this one. */
  remove(eventType: string, listener: AnyListener): void {
    const registered = this.listeners.get(eventType)
    if (registered && (registered === listener || registered.original === listener)) {
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
    return this.listeners.get(eventType)
  }

  /** The handler of a type, as it was registered. */
  findOriginal(eventType: string): AnyListener | undefined {
    const registered = this.listeners.get(eventType)
    return registered?.original ?? registered
  }

  /** The types that have a handler, in the order of registration. */
  eventTypes(): string[] {
    return [...this.listeners.keys()]
  }
}
