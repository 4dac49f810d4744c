// Asks before something is done that can't be taken back.

import type { ComponentChildren } from 'preact';
import { useEffect, useId, useRef } from 'preact/hooks';

interface Properties {
  title: string;
  /** What the button says: the deed, not `OK`. */
  deed: string;
  children: ComponentChildren;
  confirmed: () => void;
  closed: () => void;
}

export function Confirm({ title, deed, children, confirmed, closed }: Properties) {
  const dialog = useRef<HTMLDialogElement>(null);
  const id = useId();
  useEffect(() => {
    dialog.current?.showModal();
  }, []);
  return (
    <dialog ref={dialog} class="dialog" aria-labelledby={`${id}-title`} onClose={closed}>
      <h2 id={`${id}-title`}>{title}</h2>
      <div class="dialog-text">{children}</div>
      <div class="buttons">
        <button type="button" class="button" onClick={() => dialog.current?.close()}>
          Cancel
        </button>
        <button
          type="button"
          class="button danger"
          onClick={() => {
            dialog.current?.close();
            confirmed();
          }}
        >
          {deed}
        </button>
      </div>
    </dialog>
  );
}
