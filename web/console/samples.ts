// Samples that are remembered, and what is read from them. Pure.

import { parse } from '../shared/moment.ts';
import type { Sample, Service, State } from './answers.ts';

/** Fewer are kept only when the console remembers fewer. */
const KEPT_MIN = 450;

/** With one more: the oldest makes room, and what is there already is not added twice. */
export function withNext(samples: readonly Sample[], next: Sample, remembered: number): Sample[] {
  const newest = samples.at(-1);
  if (newest && secondsOf(next) <= secondsOf(newest)) return [...samples];
  return [...samples, next].slice(-Math.max(KEPT_MIN, remembered));
}

export function secondsOf(sample: Sample): number {
  return (parse(sample.at) ?? 0) / 1000;
}

/** The largest of what was measured; null: nothing was. */
export function peak(samples: readonly Sample[], pick: (sample: Sample) => number | null): number | null {
  return samples.reduce<number | null>((most, sample) => {
    const value = pick(sample);
    return value === null ? most : Math.max(most ?? value, value);
  }, null);
}

/** Processes count whole seconds of it: over less than this a share would jump. */
const SHARE_SECONDS = 60;

/** The part of a processor that each process took lately, by its id. */
export function processorShares(samples: readonly Sample[]): Map<string, number> {
  const shares = new Map<string, number>();
  const now = samples.at(-1);
  if (!now) return shares;
  const before = samples.findLast((own) => secondsOf(now) - secondsOf(own) >= SHARE_SECONDS) ?? samples[0];
  if (!before || before === now) return shares;
  const seconds = secondsOf(now) - secondsOf(before);
  const earlier = new Map(before.services.map((service) => [service.process, service.cpu_seconds]));
  for (const { process, cpu_seconds } of now.services) {
    const then = earlier.get(process);
    if (process && then !== undefined && seconds > 0) {
      shares.set(process, Math.max(0, (cpu_seconds - then) / seconds));
    }
  }
  return shares;
}

const WORRIES: State[] = ['silent', 'not_ready', 'draining'];

/** Services that are not as they should be, the worst first. */
export function worries(services: readonly Service[]): Service[] {
  return WORRIES.flatMap((state) => services.filter((service) => service.state === state));
}

/** What one calls a service: its roles. */
export function nameOf(service: Service): string {
  return service.roles.join(', ') || service.process || 'a process';
}
