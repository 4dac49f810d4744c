// Calls to the console's API. A call without a session makes the page ask for the password.

import { useCallback, useEffect, useRef, useState } from 'preact/hooks';

/** The words are the backend's, to be shown as they are. */
export class Problem extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/** No session: 401 to any call but signing in. */
export const SIGNED_OUT = 'signed-out';

async function call(path: string, init: RequestInit): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(`api/${path}`, init);
  } catch (why) {
    if (init.signal?.aborted) throw why;
    throw new Problem(0, 'the console does not answer; is it running, and is the network there?');
  }
  if (response.ok) return response;
  const told = (await response.json().catch(() => ({}))) as { message?: string };
  if (response.status === 401) window.dispatchEvent(new Event(SIGNED_OUT));
  throw new Problem(response.status, told.message ?? `the console answered ${response.status}`);
}

export async function get<T>(
  path: string,
  query: Record<string, string> = {},
  signal: AbortSignal | null = null,
): Promise<T> {
  const given = new URLSearchParams(Object.entries(query).filter(([, value]) => value !== ''));
  const response = await call(`${path}${given.size > 0 ? `?${given}` : ''}`, { signal });
  return (await response.json()) as T;
}

export async function post(path: string, body: object): Promise<void> {
  const headers = { 'Content-Type': 'application/json' };
  await call(path, { method: 'POST', headers, body: JSON.stringify(body) });
}

/** Why a stream can't be followed; `undefined`: it can. */
export async function whyNot(path: string): Promise<Problem | undefined> {
  const abort = new AbortController();
  try {
    await call(path, { signal: abort.signal });
    return undefined;
  } catch (why) {
    return why instanceof Problem ? why : new Problem(0, String(why));
  } finally {
    abort.abort();
  }
}

export function words(why: unknown): string {
  return why instanceof Error ? why.message : String(why);
}

export interface Asked<T> {
  /** Of this question; stays while it is asked again. */
  value: T | undefined;
  problem: string | undefined;
  isLoading: boolean;
  again: () => void;
}

interface How {
  /** Asked again by itself. */
  everyMs?: number;
  /** Shows the answer to the question before until there is one to this. */
  keeps?: boolean;
}

/** Asks, and asks again when the question changes; without a path nothing is asked. */
export function useAnswer<T>(
  path: string,
  query: Record<string, string> = {},
  { everyMs = 0, keeps = false }: How = {},
): Asked<T> {
  const question = path && JSON.stringify([path, query]);
  const [answer, setAnswer] = useState<{ question: string; value?: T; problem?: string }>();
  const [isLoading, setLoading] = useState(false);
  const [round, setRound] = useState(0);
  const again = useCallback(() => setRound((count) => count + 1), []);
  const asking = useRef<AbortController>(undefined);

  // A round is a reason to ask again.
  useEffect(() => {
    if (!question) return;
    const abort = new AbortController();
    asking.current = abort;
    const [ownPath, ownQuery] = JSON.parse(question) as [string, Record<string, string>];
    setLoading(true);
    get<T>(ownPath, ownQuery, abort.signal)
      .then(
        (value) => setAnswer({ question, value }),
        (why) => {
          if (abort.signal.aborted) return;
          // What was known is still worth showing.
          setAnswer((old) => ({ ...(old?.question === question ? old : { question }), problem: words(why) }));
        },
      )
      .finally(() => {
        if (asking.current === abort) setLoading(false);
      });
    return () => abort.abort();
  }, [question, round]);

  useEffect(() => {
    if (!question || everyMs === 0) return;
    const timer = setInterval(again, everyMs);
    return () => clearInterval(timer);
  }, [question, everyMs, again]);

  const own = answer?.question === question ? answer : undefined;
  const value = keeps ? answer?.value : own?.value;
  return { value, problem: own?.problem, isLoading: isLoading || (!!question && !own), again };
}
