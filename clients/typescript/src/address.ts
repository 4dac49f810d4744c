// Where the tier is: PlatePal's own settings, and the addresses that follow from them.

/** What Vite gives as `import.meta.env`. */
export interface Env {
  VITE_WS_URL?: string;
  VITE_WS_ENABLED?: string | boolean;
}

export const DEFAULT_URL = 'ws://localhost:8000/ws';

/** `VITE_WS_ENABLED=false` turns sockets off; anything else leaves them on. */
export const socketsEnabled = (env: Env): boolean =>
  String(env.VITE_WS_ENABLED ?? true).toLowerCase() !== 'false';

export interface Addresses {
  /** PlatePal's own sockets, without a final slash: `wss://host/ws`. */
  sockets: string;
  /** A transport of Centrifuge's protocol. */
  connection(transport: 'websocket' | 'http_stream' | 'sse'): string;
  emulation: string;
  /** Feeds without sockets: `https://host/events`. */
  events: string;
}

/** What a channel's feed is called in paths, where it is not the kind itself. Source: `crates/edge/src/routes.rs`. */
const FEEDS: Record<string, string> = { restaurant: 'orders', rider: 'delivery' };

/** The path of a channel's feed: `customer:7` is `/customer/7`. `all` has none. */
export function feedPath(channel: string): string | undefined {
  const [kind = '', id] = channel.split(':');
  if (channel === 'all') return undefined;
  return `/${FEEDS[kind] ?? kind}${id === undefined ? '' : `/${encodeURIComponent(id)}`}`;
}

/** Addresses from `VITE_WS_URL`: with or without `/ws` at its end, with a path before it, or relative to the page. */
export function addresses(url: string): Addresses {
  const page = (globalThis as { location?: { href: string } }).location?.href;
  let whole: URL;
  try {
    whole = new URL(url, page);
  } catch {
    throw new TypeError(`${url} is no address; VITE_WS_URL is like ${DEFAULT_URL}`);
  }
  const base = `${whole.host}${whole.pathname.replace(/\/+$/, '').replace(/\/ws$/, '')}`;
  const safe = whole.protocol === 'wss:' || whole.protocol === 'https:' ? 's' : '';
  const http = `http${safe}://${base}`;
  return {
    sockets: `ws${safe}://${base}/ws`,
    connection: (transport) =>
      `${transport === 'websocket' ? `ws${safe}://${base}` : http}/connection/${transport}`,
    emulation: `${http}/emulation`,
    events: `${http}/events`,
  };
}
