// Payloads of orders. Source of truth: `crates/orders/src/rules/envelope.rs` and `store/deadlines.rs`.

import type { OrderStatus } from '../generated/catalogue.ts';
import type { Envelope, Id, Published } from './envelope.ts';

/** An order's event: Django's own object, with status and version beside it. */
export interface OrderEnvelope<Order = Record<string, unknown>> extends Envelope<Order> {
  status: OrderStatus;
  /** Grows with every change of the order. */
  order_version: number;
}

/** A limit of time that an order is about to break, or broke. */
export interface Deadline {
  order_id: Id;
  restaurant_id: Id | null;
  kind: 'acceptance' | 'completion';
  status: OrderStatus;
  sla_minutes: number;
  due_at: string;
}

export interface OrdersPayloads {
  order_created: OrderEnvelope;
  order_updated: OrderEnvelope;
  order_accepted: OrderEnvelope;
  order_rejected: OrderEnvelope;
  order_preparing: OrderEnvelope;
  order_ready: OrderEnvelope;
  order_assigned: OrderEnvelope;
  order_picked_up: OrderEnvelope;
  order_out_for_delivery: OrderEnvelope;
  order_completed: OrderEnvelope;
  order_cancelled: OrderEnvelope;
  order_refunded: OrderEnvelope;
  order_snapshot: OrderEnvelope;
  order_sla_warning: Envelope<Deadline>;
  sla_breach: Published<Deadline>;
  restaurant_alert: Published;
  restaurant_status: Published;
  restaurant_high_rejection_rate: Published<{ restaurant_id: Id; rejections: number; window_hours: number }>;
}
