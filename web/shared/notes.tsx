// What is said in place of what is not there: nothing yet, nothing at all, or why not.

import type { ComponentChildren } from 'preact';

/** There is nothing, and that is fine. */
export function Empty({ title, children }: { title: string; children?: ComponentChildren }) {
  return (
    <div class="empty">
      <p class="empty-title">{title}</p>
      {children && <div class="quiet">{children}</div>}
    </div>
  );
}

/** Something did not work; the words are the backend's. */
export function Trouble({ message, again }: { message: string; again?: () => void }) {
  return (
    <div class="note bad" role="alert">
      <span>{message}</span>
      {again && (
        <button type="button" class="button small" onClick={again}>
          Try again
        </button>
      )}
    </div>
  );
}

/** Keeps the place of what is being asked for. */
export function Loading({ lines = 4 }: { lines?: number }) {
  return (
    <div class="loading" role="status">
      <span class="unseen">Loading</span>
      {Array.from({ length: lines }, (_, index) => (
        <span key={index} class="loading-line" aria-hidden="true" />
      ))}
    </div>
  );
}
