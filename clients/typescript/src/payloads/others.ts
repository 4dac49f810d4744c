// Payloads of events that no domain owns: what Django published, passed on byte for byte.

import type { Published } from './envelope.ts';

export interface OtherPayloads {
  payment_captured: Published;
  payment_failed: Published;
  refund_initiated: Published;
  refund_completed: Published;
  payout_completed: Published;
  payout_failed: Published;
  settlement_completed: Published;
  promo_published: Published;
  ticket_created: Published;
  ticket_updated: Published;
  system_alert: Published;
  fraud_alert: Published;
}
