// What can go wrong, as one error with a word to act on.

export type ErrorCode =
  /** The token is missing, expired or refused: sign in again. */
  | 'unauthorised'
  /** This user may not. Asking again does not help. */
  | 'forbidden'
  | 'not_found'
  /** What was asked can't be taken as it is; the message says why. */
  | 'invalid'
  /** Too much at once. */
  | 'limit'
  /** The tier has no such method, or not on this way. */
  | 'unsupported'
  /** No answer now. It may have been taken or not: repeats are harmless. */
  | 'unavailable'
  /** This client was closed. */
  | 'closed';

/** Every error that this package rejects with or shows. */
export class RealtimeError extends Error {
  override readonly name = 'RealtimeError';
  readonly code: ErrorCode;
  /** Whether the same call can succeed later. */
  readonly retryable: boolean;

  constructor(code: ErrorCode, message: string, retryable = code === 'unavailable') {
    super(message);
    this.code = code;
    this.retryable = retryable;
  }
}

const BY_NUMBER: Record<number, ErrorCode> = {
  101: 'unauthorised',
  102: 'not_found',
  103: 'forbidden',
  104: 'unsupported',
  106: 'limit',
  107: 'invalid',
  108: 'unsupported',
  109: 'unauthorised',
  111: 'limit',
  112: 'not_found',
};

/** Centrifuge's error (`{code, message}`), or anything else that was thrown, as ours. */
export function errorOf(why: unknown): RealtimeError {
  if (why instanceof RealtimeError) return why;
  const { code, message, temporary } = (why ?? {}) as {
    code?: number;
    message?: string;
    temporary?: boolean;
  };
  const word = BY_NUMBER[code ?? 0] ?? 'unavailable';
  return new RealtimeError(word, message || String(why), temporary || word === 'unavailable' || code === 111);
}

/** Nothing, of what can't be had; what can be had later is thrown on. */
export function unlessRetryable(why: unknown): undefined {
  if (errorOf(why).retryable) throw why;
}
