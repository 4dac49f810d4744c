// The page of the browser tests: everything of the package by name, and a small application that uses the hooks.

import { StrictMode, useState } from 'react';
import { createRoot } from 'react-dom/client';
import * as sdk from '../../src/index.ts';
import * as hooks from '../../src/react.ts';

declare global {
  interface Window {
    sdk: typeof sdk;
    /** What tests keep between two calls. */
    kept: Record<string, unknown>;
    newToken(user: number, seconds: number): Promise<string>;
    begin(url: string, user: number, more?: Partial<sdk.Options> & { seconds?: number }): sdk.Realtime;
    render(realtime: sdk.Realtime): void;
  }
}

function Order({ id }: { id: number }) {
  const { value, state, error } = hooks.useOrder<{ note: string }>(id);
  const [alerts, setAlerts] = useState(0);
  hooks.useEvent('customer:7', 'system_alert', () => setAlerts((count) => count + 1));
  return (
    <p id="order">
      {value?.status ?? 'nothing'} {value?.order.note} {state} {error?.code} alerts:{alerts}
    </p>
  );
}

function Inbox() {
  const { value, watch } = hooks.useInbox();
  return (
    <button id="inbox" type="button" onClick={() => watch?.markRead('all')}>
      unread:{value?.unreadCount}
    </button>
  );
}

function Application() {
  const [id, setId] = useState<number | undefined>(1);
  return (
    <>
      <p id="connection">{hooks.useConnection()}</p>
      {id === undefined ? null : <Order id={id} />}
      <Inbox />
      <button id="next" type="button" onClick={() => setId(2)}>
        next
      </button>
      <button id="none" type="button" onClick={() => setId(undefined)}>
        none
      </button>
    </>
  );
}

window.sdk = sdk;
window.kept = {};
window.begin = (url, user, { seconds = 3600, ...more } = {}) =>
  sdk.connect({ url, token: () => window.newToken(user, seconds), ...more });
window.render = (realtime) => {
  createRoot(document.body.appendChild(document.createElement('div'))).render(
    <StrictMode>
      <hooks.RealtimeProvider realtime={realtime}>
        <Application />
      </hooks.RealtimeProvider>
    </StrictMode>,
  );
};
