// Follows what the tier does, and comes back when it is cut.

import { useEffect, useState } from 'preact/hooks';
import { usualStep } from '../shared/columns.ts';
import { clock } from '../shared/moment.ts';
import type { Sample } from './answers.ts';
import { whyNot } from './api.ts';
import { secondsOf, withNext } from './samples.ts';

export interface Live {
  samples: Sample[];
  /** `cut`: what is shown is what was. */
  state: 'connecting' | 'live' | 'cut';
  /** Why it is cut, in the backend's words where it said any. */
  why: string;
}

const RETRY_MS_MIN = 1_000;
const RETRY_MS_MAX = 10_000;
/** Without a sample for so many of their usual steps, and at least so long, a connection is dead. */
const SILENT_STEPS = 5;
const SILENT_MS_MIN = 10_000;

/** Calls with every change until the result is called. */
export function follow(changed: (live: Live) => void): () => void {
  let live: Live = { samples: [], state: 'connecting', why: '' };
  let remembered = 0;
  let source: EventSource | undefined;
  let retry: ReturnType<typeof setTimeout> | undefined;
  let silence: ReturnType<typeof setTimeout> | undefined;
  let waitMs = RETRY_MS_MIN;
  let isOver = false;

  const become = (next: Partial<Live>) => {
    live = { ...live, ...next };
    if (!isOver) changed(live);
  };
  const listen = () => {
    clearTimeout(silence);
    const usual = (usualStep(live.samples.map(secondsOf)) ?? 0) * 1000;
    silence = setTimeout(
      () => {
        become({ state: 'cut', why: 'nothing was heard of the console for a while' });
        open();
      },
      Math.max(SILENT_MS_MIN, usual * SILENT_STEPS),
    );
  };
  const failed = async (own: EventSource) => {
    clearTimeout(silence);
    become({ state: 'cut', why: live.state === 'cut' ? live.why : 'the connection was lost' });
    // Otherwise the browser tries again by itself.
    if (own.readyState !== EventSource.CLOSED) return;
    const problem = await whyNot('live');
    if (isOver || own !== source) return;
    if (problem) become({ why: problem.message });
    retry = setTimeout(open, waitMs);
    waitMs = Math.min(waitMs * 2, RETRY_MS_MAX);
  };
  const open = () => {
    source?.close();
    clearTimeout(retry);
    const own = new EventSource('api/live');
    source = own;
    own.addEventListener('history', ({ data }) => {
      const samples = JSON.parse(data) as Sample[];
      remembered = samples.length + 1;
      waitMs = RETRY_MS_MIN;
      become({ samples, state: 'live', why: '' });
      listen();
    });
    own.addEventListener('sample', ({ data }) => {
      const sample = JSON.parse(data) as Sample;
      clock.told(sample.at);
      become({ samples: withNext(live.samples, sample, remembered), state: 'live', why: '' });
      listen();
    });
    own.onerror = () => void failed(own);
  };
  open();
  return () => {
    isOver = true;
    clearTimeout(retry);
    clearTimeout(silence);
    source?.close();
  };
}

export function useLive(): Live {
  const [live, setLive] = useState<Live>({ samples: [], state: 'connecting', why: '' });
  useEffect(() => follow(setLive), []);
  return live;
}
