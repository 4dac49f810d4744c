// Orders: one order as it is now. Rules are pure; what was told of one order is told in the order of its versions.

import type { Frame } from './events.ts';
import type { OrderStatus } from './generated/catalogue.ts';
import { payloadOf } from './payloads/envelope.ts';
import type { OrderEnvelope } from './payloads/orders.ts';
import type { Realtime } from './realtime.ts';
import type { Watch } from './watch.ts';

export interface OrderView<Order = Record<string, unknown>> {
  orderId: string;
  status: OrderStatus;
  version: number;
  /** As Django serialises it. */
  order: Order;
  /** What was told last: `order_accepted`. */
  event: string;
  updatedAt: string;
}

/** An order with what an event says. One that is not newer changes nothing; a snapshot of the same version is taken. */
export function reduceOrder<Order>(orderId: string) {
  return (
    held: OrderView<Order> | undefined,
    { type, data, timestamp }: Frame,
  ): OrderView<Order> | undefined => {
    const told = data as OrderEnvelope<Order> | null;
    if (typeof told?.order_version !== 'number' || String(told.aggregate_id ?? orderId) !== orderId)
      return held;
    // A deadline is about the order, and is not the order.
    if (!type.startsWith('order_') || type === 'order_sla_warning') return held;
    const isNewer = !held || told.order_version > held.version;
    const isSame =
      held?.version === told.order_version && type === 'order_snapshot' && held.status !== told.status;
    if (!isNewer && !isSame) return held;
    return {
      orderId,
      status: told.status,
      version: told.order_version,
      order: payloadOf<Order>(told),
      event: type,
      updatedAt: told.timestamp ?? timestamp ?? '',
    };
  };
}

/** An order of the application's REST API as a frame, for its `poll` function. `version` grows with every change. */
export function orderSnapshot<Order extends { id: number | string; status: OrderStatus }>(
  order: Order,
  version: number,
): Frame {
  const told = {
    aggregate_type: 'order',
    aggregate_id: String(order.id),
    payload: order,
    status: order.status,
  };
  return { type: 'order_snapshot', data: { ...told, order_version: version } as unknown };
}

/** `orders(realtime).watch(5012)` */
export const orders = (realtime: Realtime) => ({
  watch: <Order = Record<string, unknown>>(orderId: number | string): Watch<OrderView<Order>> =>
    realtime.watch({ channel: `order:${orderId}`, reduce: reduceOrder<Order>(String(orderId)) }),
});
