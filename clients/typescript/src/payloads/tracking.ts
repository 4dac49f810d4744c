// Payloads of tracking. Source of truth: `crates/tracking/src/rules/{payload,envelope}.rs` and `docs/tracking-api.md`.

import type { DeliveryStatus, FixOutcome, Liveness, OfferStatus } from '../generated/catalogue.ts';
import type { Envelope, Id, Published } from './envelope.ts';

export interface RiderPlace {
  /** Degrees, WGS 84. */
  latitude: number;
  longitude: number;
  /** Degrees clockwise from north. */
  heading: number | null;
  /** Metres per second. */
  speed: number;
  /** Metres. */
  accuracy: number;
}

export type Phase = 'TO_PICKUP' | 'AT_PICKUP' | 'TO_CUSTOMER' | 'ARRIVING' | 'ARRIVED';

/** Where a rider is. Restaurants get it without `location`, `rider_id`, `moving` and `route`. */
export interface RiderLocation {
  delivery_id?: Id;
  order_id?: Id;
  rider_id?: Id;
  location?: RiderPlace;
  eta_minutes?: number | null;
  eta_range?: { from: number; to: number } | null;
  /** When the rider was there. */
  timestamp?: string;
  phase?: Phase;
  age_seconds?: number;
  liveness?: Liveness;
  moving?: boolean;
  /** The way ahead, an encoded polyline of precision 5. */
  route?: string;
  /** On `area:` channels: what the rider carries. */
  delivery_ids?: Id[];
}

export interface DeliveryChange {
  delivery_id: Id;
  order_id: Id | null;
  status: DeliveryStatus;
  previous_status: DeliveryStatus | null;
  rider_id: Id | null;
  occurred_at: string;
  /** Told to the rider from whom it was taken. */
  reassigned?: boolean;
}

export interface Offer {
  offer_id: Id;
  delivery_id: Id;
  order_id: Id | null;
  rider_id: Id;
  status: OfferStatus;
  attempt: number;
  expires_at: string;
  reason?: string;
}

/** What became of one fix. */
export interface FixAnswer {
  outcome: FixOutcome;
  reason?: string;
  note?: string;
}

export interface TrackingPayloads {
  delivery_assigned: Envelope<DeliveryChange>;
  delivery_status_changed: Envelope<DeliveryChange>;
  delivery_escalation: Published<{
    delivery_id: Id;
    order_id: Id | null;
    restaurant_id: Id | null;
    reason: string;
    total_offers_sent: number;
  }>;
  delivery_no_rider_available: Published;
  rider_location: Published<RiderLocation>;
  rider_left: Published<{ rider_id: Id; timestamp: string }>;
  job_offer: Published<Offer>;
  offer_accepted: Published<Offer>;
  offer_declined: Published<Offer>;
  offer_expired: Published<Offer>;
  offer_cancelled: Published<Offer>;
  surge_alert: Published;
  shift_reminder: Published;
  high_priority_alert: Published;
}
