// The states of the connection, as a function of what is known. Pure.

/** How fresh what is shown is; see the table in the README. */
export type State = 'live' | 'catching-up' | 'polling' | 'offline';

export interface Facts {
  /** The browser has a network. */
  online: boolean;
  /** `off`: not wanted, or given up for now. */
  sockets: 'connected' | 'connecting' | 'off';
  /** Sockets have been missing for longer than a short break. */
  overdue: boolean;
  /** What the last poll gave; `never`: there is nothing to poll with. */
  polls: 'never' | 'unknown' | 'answered' | 'failed';
}

export function stateOf({ online, sockets, overdue, polls }: Facts): State {
  if (!online) return 'offline';
  if (sockets === 'connected') return 'live';
  if (sockets === 'connecting' && !overdue) return 'catching-up';
  if (polls === 'answered') return 'polling';
  return polls === 'unknown' ? 'catching-up' : 'offline';
}

/** Whether somebody has to poll now. */
export const mustPoll = ({ online, sockets, overdue, polls }: Facts): boolean =>
  online && polls !== 'never' && (sockets === 'off' || (sockets === 'connecting' && overdue));

/** The wait before an attempt, in milliseconds: doubled each time, with full jitter above half of it. */
export function backoffMs(attempt: number, first: number, most: number): number {
  const whole = Math.min(most, first * 2 ** Math.min(attempt, 16));
  return whole / 2 + Math.random() * (whole / 2);
}
