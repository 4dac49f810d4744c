// An event's way as steps in time. Pure.

import { parse } from '../shared/moment.ts';
import type { Journey } from './answers.ts';

export interface Step {
  kind: 'published' | 'kept' | 'heard' | 'written';
  /** Empty where it was no edge. */
  edge: string;
  at: string;
  /** Milliseconds after what came before it; null: one of the two is not known. Below zero: two clocks differ. */
  after: number | null;
  readers: number;
  written: number;
}

export function steps(journey: Journey): Step[] {
  const { event, edges } = journey;
  const between = (from: string, to: string) => {
    const [start, end] = [parse(from), parse(to)];
    return start === undefined || end === undefined ? null : end - start;
  };
  const none = { edge: '', readers: 0, written: 0 };
  const all: Step[] = [
    { ...none, kind: 'published', at: event.published_at, after: null },
    { ...none, kind: 'kept', at: event.kept_at, after: between(event.published_at, event.kept_at) },
  ];
  for (const { edge, heard_at, readers, written, last_written_at } of edges) {
    const own = { edge, readers, written };
    all.push({ ...own, kind: 'heard', at: heard_at, after: between(event.kept_at, heard_at) });
    all.push({ ...own, kind: 'written', at: last_written_at, after: between(heard_at, last_written_at) });
  }
  return all;
}

/** From the publisher to the last socket, in milliseconds; null: it was written nowhere. */
export function whole(journey: Journey): number | null {
  const start = parse(journey.event.published_at);
  const ends = journey.edges.flatMap(({ last_written_at }) => parse(last_written_at) ?? []);
  return start === undefined || ends.length === 0 ? null : Math.max(...ends) - start;
}

/** The trace's id in a `traceparent`; empty: there is none. */
export function traceId(traceparent: string): string {
  return /^[0-9a-f]{2}-([0-9a-f]{32})-/.exec(traceparent)?.[1] ?? '';
}
