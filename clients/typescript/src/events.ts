// Events by their type: what each carries, and the frame around it.

import type { EventType } from './generated/catalogue.ts';
import type { ChatPayloads } from './payloads/chat.ts';
import type { MenusPayloads } from './payloads/menus.ts';
import type { NotificationsPayloads } from './payloads/notifications.ts';
import type { OrdersPayloads } from './payloads/orders.ts';
import type { OtherPayloads } from './payloads/others.ts';
import type { TrackingPayloads } from './payloads/tracking.ts';

/** What the `data` of each type of event is. A type that the catalogue has and this lacks does not compile. */
export interface Payloads
  extends OrdersPayloads,
    TrackingPayloads,
    ChatPayloads,
    NotificationsPayloads,
    MenusPayloads,
    OtherPayloads {}

type Missing = Exclude<EventType, keyof Payloads>;
const everyTypeHasItsPayload: [Missing] extends [never] ? true : Missing = true;
void everyTypeHasItsPayload;

/** `order.accepted` is `order_accepted`. */
type Underscored<Type extends string> = Type extends `${infer Word}.${infer Rest}`
  ? Underscored<`${Word}_${Rest}`>
  : Type;

/** An event as it comes over any of the tier's ways. */
export interface Frame<Type extends string = string> {
  type: Underscored<Type>;
  data: Underscored<Type> extends keyof Payloads ? Payloads[Underscored<Type>] : unknown;
  /** Absent of what only passes, as `typing`. */
  event_id?: string;
  timestamp?: string;
  version?: string;
}

export type Handler<Type extends string> = (event: Frame<Type>) => void;

/** `order.accepted` is `order_accepted`, on whatever spelling the tier is set. */
export const underscored = (type: string): string => type.replaceAll('.', '_');

/** A frame out of what came over a wire; `undefined`: it is none. */
export function frameOf(raw: unknown): Frame | undefined {
  const { type, data, event_id, timestamp, version, ...flat } = (raw ?? {}) as Record<string, unknown> &
    Frame;
  if (typeof type !== 'string') return undefined;
  return { type: underscored(type), data: data === undefined ? flat : data, event_id, timestamp, version };
}

/** Handlers by the type of event. What one of them throws is reported, and keeps nothing from the others. */
export class Handlers {
  readonly #by = new Map<string, Set<(event: Frame) => void>>();

  /** `*`: every event. Gives what takes the handler away. */
  on<Type extends string>(type: Type, handler: Handler<Type>): () => void {
    const name = underscored(type);
    const own = this.#by.get(name) ?? new Set();
    this.#by.set(name, own);
    const entry = handler as unknown as (event: Frame) => void;
    own.add(entry);
    return () => own.delete(entry);
  }

  off(type: string, handler: (event: never) => void): void {
    this.#by.get(underscored(type))?.delete(handler as (event: Frame) => void);
  }

  tell(event: Frame): void {
    for (const name of [event.type, '*'])
      for (const handler of [...(this.#by.get(name) ?? [])]) guarded(() => handler(event));
  }
}

/** Runs what is not ours; what it throws becomes an uncaught error, and ends nothing here. */
export function guarded(action: () => void): void {
  try {
    action();
  } catch (why) {
    queueMicrotask(() => {
      throw why;
    });
  }
}
