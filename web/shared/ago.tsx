// Times that read as ages, and grow; the exact one is their title.

import { useEffect, useState } from 'preact/hooks';
import { ago, NONE } from './format.ts';
import { absolute, clock, parse } from './moment.ts';

/** Now at the tier, looked at every so often. */
export function useNow(everyMs = 1000): number {
  const [now, setNow] = useState(() => clock.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(clock.now()), everyMs);
    return () => clearInterval(timer);
  }, [everyMs]);
  return now;
}

export function Ago({ at, words = ago }: { at: string | null; words?: (ms: number) => string }) {
  const now = useNow();
  const ms = at ? parse(at) : undefined;
  if (ms === undefined) return <span class="quiet">{NONE}</span>;
  return (
    <time dateTime={at ?? ''} title={absolute(ms)}>
      {words(now - ms)}
    </time>
  );
}
