// Deliveries: where the rider is, how long it will take. And what riders' apps say.

import type { Frame } from './events.ts';
import type { DeliveryStatus, Fix, Liveness, OfferStatus } from './generated/catalogue.ts';
import { payloadOf } from './payloads/envelope.ts';
import type { DeliveryChange, FixAnswer, Phase, RiderLocation, RiderPlace } from './payloads/tracking.ts';
import type { Realtime } from './realtime.ts';
import type { Watch } from './watch.ts';

export interface DeliveryView {
  deliveryId: string;
  status?: DeliveryStatus;
  place?: RiderPlace;
  phase?: Phase;
  etaMinutes?: number | null;
  etaRange?: { from: number; to: number } | null;
  liveness?: Liveness;
  moving?: boolean;
  /** The way ahead, an encoded polyline of precision 5. */
  route?: string;
  /** When the rider was there, by the tier's clock. */
  placedAt?: string;
  /** How old that was when it came, in seconds. */
  ageSeconds?: number;
  /** By this device's clock: `ageNow` counts on from it. */
  receivedAt?: number;
}

/** A delivery with what an event says. An older place never replaces a newer one. Pure but for the clock that is passed in. */
export const reduceDelivery =
  (deliveryId: string, now: () => number) =>
  (held: DeliveryView | undefined, { type, data }: Frame): DeliveryView | undefined => {
    const view = held ?? { deliveryId };
    if (type === 'delivery_assigned' || type === 'delivery_status_changed') {
      const { status } = payloadOf<DeliveryChange>(data as DeliveryChange);
      return { ...view, status };
    }
    if (type !== 'rider_location') return held;
    const told = payloadOf<RiderLocation>(data as RiderLocation);
    if (!told.timestamp) return held;
    if (held?.placedAt && Date.parse(told.timestamp) < Date.parse(held.placedAt)) return held;
    return {
      deliveryId,
      status: view.status,
      place: told.location,
      phase: told.phase,
      etaMinutes: told.eta_minutes,
      etaRange: told.eta_range,
      liveness: told.liveness,
      moving: told.moving,
      route: told.route,
      placedAt: told.timestamp,
      ageSeconds: told.age_seconds,
      receivedAt: now(),
    };
  };

/** How old a place is now, in seconds: what it was when it came, and what has passed since. */
export const ageNow = ({ ageSeconds = 0, receivedAt }: DeliveryView, now = Date.now()): number | undefined =>
  receivedAt === undefined ? undefined : ageSeconds + Math.max(0, now - receivedAt) / 1000;

export interface OfferAnswer {
  offer_id: string;
  delivery_id: number | string;
  status: OfferStatus;
  /** Settled as was asked. False: `status` says how it was settled. */
  settled: boolean;
  reason: string;
}

/** `delivery(realtime).track(9)` */
export const delivery = (realtime: Realtime) => ({
  track: (deliveryId: number | string): Watch<DeliveryView> =>
    realtime.watch({
      channel: `track:${deliveryId}`,
      reduce: reduceDelivery(String(deliveryId), Date.now),
    }),
  /** Riders: one fix, or up to 1,000 that were kept while offline. Each is answered; repeats are harmless. */
  report: (fixes: Fix | Fix[]) => realtime.call<{ answers: FixAnswer[] }>('tracking.report', fixes),
  accept: (offerId: string) => realtime.call<OfferAnswer>('tracking.accept_offer', { offer_id: offerId }),
  decline: (offerId: string, reason = '') =>
    realtime.call<OfferAnswer>('tracking.decline_offer', { offer_id: offerId, reason }),
});
