// Typed events: a map from event types to payloads, and what the methods of a bus take and return under it. At compile time only.

import type { BusEvent, BusEventInput } from "./event.ts"
import type { BatchHandler, BatchOutcome } from "./publisher.ts"

/** The map of a bus that was given none: any type of event, with any payload. */
// biome-ignore lint/suspicious/noExplicitAny: a bus with a map can be passed for one without, and the other way round
export type UntypedEvents = any

/** Of all maps, only `any` has symbols among its keys. Asked about the keys, because that leaves the map covariant. */
type IfTyped<TEvents, Typed, Untyped> = [keyof TEvents] extends [string | number] ? Typed : Untyped

/**
 * The event types of a map; any string without one.
 *
 * @typeParam TEvents - the map
 */
export type EventTypeOf<TEvents extends object> = IfTyped<TEvents, keyof TEvents & string, string>

/**
 * An event of a map, or one of several: the type tells which payload it has.
 *
 * @typeParam TEvents - the map from event types to payloads
 * @typeParam T - the event types; default all of the map
 * @typeParam P - the payload, where there is no map
 * @example
 * ```ts
 * type ShopEvents = { "order.placed": { orderId: string }; "order.shipped": { carrier: string } }
 * const ship = async (event: EventOf<ShopEvents, "order.placed">) => console.log(event.payload.orderId)
 * ```
 */
export type EventOf<TEvents extends object, T extends string = EventTypeOf<TEvents>, P = unknown> = IfTyped<
  TEvents,
  { [K in T & keyof TEvents]: BusEvent<K, TEvents[K]> }[T & keyof TEvents],
  BusEvent<T, P>
>

/**
 * An event of a map as it is given to `emit`; see {@link EventOf}.
 *
 * @typeParam TEvents - the map from event types to payloads
 * @typeParam T - the event types; default all of the map
 * @typeParam P - the payload, where there is no map
 */
export type EventInputOf<
  TEvents extends object,
  T extends string = EventTypeOf<TEvents>,
  P = unknown,
> = IfTyped<
  TEvents,
  { [K in T & keyof TEvents]: BusEventInput<K, TEvents[K]> }[T & keyof TEvents],
  BusEventInput<T, P>
>

/**
 * A handler of events of a map; see {@link EventOf}.
 *
 * @typeParam TEvents - the map from event types to payloads
 * @typeParam T - the event types; default all of the map
 * @typeParam P - the payload, where there is no map
 */
export type EventHandlerOf<TEvents extends object, T extends string = EventTypeOf<TEvents>, P = unknown> = (
  event: EventOf<TEvents, T, P>,
) => Promise<void>

/**
 * A handler of batches of events of a map; see {@link EventOf} and {@link BatchHandler}.
 *
 * @typeParam TEvents - the map from event types to payloads
 * @typeParam T - the event types; default all of the map
 */
export type BatchHandlerOf<TEvents extends object, T extends string = EventTypeOf<TEvents>> = IfTyped<
  TEvents,
  (events: EventOf<TEvents, T>[]) => Promise<void> | Promise<BatchOutcome | undefined>,
  BatchHandler
>

declare const eventMap: unique symbol

/**
 * Names of events that remember the map they come from, at compile time: nothing else in the type of a bus keeps it from being taken for
 * one whose map has other payloads.
 *
 * @typeParam TEvents - the map
 */
export type EventNamesOf<TEvents extends object> = IfTyped<
  TEvents,
  string[] & { readonly [eventMap]?: TEvents },
  string[]
>
