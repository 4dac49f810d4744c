// What the console's API answers, as it is.

export type State = 'ready' | 'not_ready' | 'draining' | 'silent';

export interface Service {
  process: string;
  roles: string[];
  version: string;
  started_at: string;
  state: State;
  why: string;
  connections: number;
  memory_bytes: number;
  cpu_seconds: number;
}

/** Milliseconds; null: there was nothing to measure. */
export interface Delay {
  p50: number | null;
  p99: number | null;
}

export type Rates = Record<
  | 'published'
  | 'appended'
  | 'delivered'
  | 'handshakes'
  | 'messages'
  | 'replayed'
  | 'conflated'
  | 'slow_closes'
  | 'errors',
  number
>;

export interface Sample {
  at: string;
  connections: number;
  subscriptions: number;
  rates: Rates;
  delays: Record<'publish' | 'deliver' | 'outbox' | 'append', Delay>;
  outbox_waiting: number;
  services: Service[];
}

export interface Services {
  now: string;
  services: Service[];
}

export interface Channels {
  channels: { name: string; readers: number }[];
  silent_edges: string[];
}

export interface Kept {
  id: string;
  type: string;
  offset: number;
  key: string;
  published_at: string;
  kept_at: string;
  data: unknown;
}

export interface Recent {
  name: string;
  epoch: string;
  head: number;
  readers: number;
  users: number;
  events: Kept[];
  values: Kept[];
}

export interface Heard {
  edge: string;
  heard_at: string;
  readers: number;
  written: number;
  last_written_at: string;
}

export interface Journey {
  channel: string;
  event: Kept;
  traceparent: string;
  edges: Heard[];
  silent_edges: string[];
}

export interface Session {
  client_id: string;
  protocol: string;
  address: string;
  edge: string;
  connected_at: string;
  expires_at: string;
  channels: string[];
}

export interface Sessions {
  user_id: string;
  clients: number;
  sessions: Session[];
  silent_edges: string[];
}

export interface Outbox {
  name: string;
  waiting: number;
  oldest_waiting_at: string | null;
  dead: number;
  relayed: number;
  reported_at: string;
}

export interface Outboxes {
  now: string;
  outboxes: Outbox[];
}

export interface Setting {
  name: string;
  value: string;
  /** `default`, `environment`, `file`, `unset` */
  source: string;
}

export interface Process {
  process: string;
  roles: string[];
  settings: Setting[];
}

export interface AllSettings {
  processes: Process[];
  /** Why, by role. */
  silent: Record<string, string>;
}
