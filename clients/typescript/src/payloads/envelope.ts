// What is around a payload. Source of truth: `crates/events/src/wire.rs` and the `rules/envelope.rs` of orders and tracking.

/** An id as Django writes it: a number if it is a whole one. */
export type Id = number | string;

/** The shape of Django's broadcaster, in which the tier's own domains tell. */
export interface Envelope<P> {
  event_id: string;
  /** Dotted, whatever the spelling of the frame. */
  type: string;
  version: string;
  timestamp: string;
  aggregate_type: string;
  aggregate_id: string;
  payload: P;
}

/** Either of the two shapes in the wild: the envelope, or the bare object of a direct send. */
export type Published<P = Record<string, unknown>> = Envelope<P> | P;

/** The object itself, whichever of the two shapes it came in. */
export function payloadOf<P>(data: Published<P>): P {
  const { payload, aggregate_type } = (data ?? {}) as Partial<Envelope<P>>;
  return payload !== undefined && aggregate_type !== undefined ? payload : (data as P);
}
