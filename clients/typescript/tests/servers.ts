// Real servers for the tests: the tier in one process, a relay that can be a bad network, a server of pages.
//
// Hides ports, waiting and cleaning up, never behaviour. Nothing here sleeps for a time and hopes: it looks until a condition
// holds, or fails with what the process printed.

import { type ChildProcess, spawn } from 'node:child_process';
import { createHmac, randomUUID } from 'node:crypto';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from 'node:http';
import {
  type AddressInfo,
  connect as connectTo,
  createServer as createListener,
  type Socket,
} from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { credentials, loadPackageDefinition, Metadata, type ServiceClientConstructor } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';

const SECRET = 'a-secret-of-tests-and-of-nothing-else';
const API_KEY = 'a-key-of-tests-and-of-nothing-else';
const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
/** For which a condition is waited for, in milliseconds. */
export const PATIENCE_MS = 30_000;

/** Looks until a condition gives something true, and gives that. */
export async function until<T>(
  condition: () => T | Promise<T>,
  what = 'the condition holds',
): Promise<NonNullable<T>> {
  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    const value = await condition();
    if (value) return value as NonNullable<T>;
    if (Date.now() > deadline) throw new Error(`waited in vain until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

export async function freePort(): Promise<number> {
  const listener = createListener();
  await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve));
  const { port } = listener.address() as AddressInfo;
  await new Promise((resolve) => listener.close(resolve));
  return port;
}

function binary(): string {
  const chosen = process.env.PLATEPAL_REALTIME_BINARY;
  const built = join(process.env.CARGO_TARGET_DIR ?? join(ROOT, 'target'), 'debug/platepal-realtime');
  const path = chosen ?? built;
  if (existsSync(path)) return path;
  throw new Error(
    `there is no ${path}: \`cargo build -p platepal-realtime\`, or set PLATEPAL_REALTIME_BINARY to the tier's binary`,
  );
}

/** An access token as Django makes it. `seconds`: until it ends. */
export function tokenFor(
  userId: number | string,
  claims: Record<string, unknown> = {},
  seconds = 3600,
): string {
  const now = Math.floor(Date.now() / 1000);
  const base64 = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const all = {
    token_type: 'access',
    exp: now + seconds,
    iat: now,
    jti: randomUUID(),
    user_id: userId,
    ...claims,
  };
  const signed = `${base64({ alg: 'HS256', typ: 'JWT' })}.${base64(all)}`;
  return `${signed}.${createHmac('sha256', SECRET).update(signed).digest('base64url')}`;
}

let loaded: Record<string, ServiceClientConstructor> | undefined;

/** The tier's gRPC services, as its protos have them. */
function services(): Record<string, ServiceClientConstructor> {
  if (loaded) return loaded;
  const files = ['orders', 'tracking', 'chat', 'notifications', 'events', 'sessions'];
  const definition = loadSync(
    files.map((file) => `platepal/realtime/v1/${file}.proto`),
    { includeDirs: [join(ROOT, 'proto')], keepCase: true, enums: String, longs: Number },
  );
  const whole = loadPackageDefinition(definition) as unknown as {
    platepal: { realtime: { v1: Record<string, ServiceClientConstructor> } };
  };
  loaded = whole.platepal.realtime.v1;
  return loaded;
}

type Call = (request: object) => Promise<Record<string, unknown>>;

interface Ports {
  http: number;
  grpc: number;
  admin: number;
}

/** Every role in one process, with ports and data that outlive restarts. */
export class Tier {
  readonly #ports: Ports;
  readonly #folder = mkdtempSync(join(tmpdir(), 'platepal-typescript-'));
  readonly #environment: Record<string, string>;
  #process: ChildProcess | undefined;
  #output = '';

  private constructor(ports: Ports, environment: Record<string, string>) {
    this.#ports = ports;
    this.#environment = environment;
  }

  static async start(environment: Record<string, string> = {}): Promise<Tier> {
    const [http, grpc, admin] = await Promise.all([freePort(), freePort(), freePort()]);
    const tier = new Tier({ http, grpc, admin }, environment);
    await tier.start();
    return tier;
  }

  get port(): number {
    return this.#ports.http;
  }

  /** As `VITE_WS_URL` has it. */
  get url(): string {
    return `ws://127.0.0.1:${this.port}/ws`;
  }

  async start(): Promise<void> {
    const { http, grpc, admin } = this.#ports;
    const own = Object.entries(process.env).filter(([name]) => !name.startsWith('REALTIME_'));
    const child = spawn(binary(), {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: {
        ...Object.fromEntries(own),
        NO_COLOR: '1',
        REALTIME_JWT_SECRET: SECRET,
        REALTIME_API_KEYS: `tests=${API_KEY}`,
        REALTIME_NOTIFICATIONS_PRODUCE: 'false',
        REALTIME_HTTP_ADDR: `127.0.0.1:${http}`,
        REALTIME_GRPC_ADDR: `127.0.0.1:${grpc}`,
        REALTIME_ADMIN_ADDR: `127.0.0.1:${admin}`,
        REALTIME_DATA_DIR: this.#folder,
        ...this.#environment,
      },
    });
    this.#process = child;
    for (const stream of [child.stdout, child.stderr]) stream?.on('data', (text) => (this.#output += text));
    await until(async () => {
      if (child.exitCode !== null) throw new Error(`the tier ended before it was ready:\n${this.#output}`);
      return fetch(`http://127.0.0.1:${admin}/readyz`).then(
        ({ ok }) => ok,
        () => false,
      );
    }, `the tier is ready`);
  }

  /** As a machine that fails: nothing is said to anybody. */
  async kill(): Promise<void> {
    const child = this.#process;
    this.#process = undefined;
    if (!child || child.exitCode !== null) return;
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await ended;
  }

  async close(): Promise<void> {
    await this.kill();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  /** `call('ChatService', 'PutRoom', { room: … })` */
  call(service: string, method: string, message: object): Promise<Record<string, unknown>> {
    const Service = services()[service] as ServiceClientConstructor;
    const client = new Service(`127.0.0.1:${this.#ports.grpc}`, credentials.createInsecure());
    const metadata = new Metadata();
    metadata.set('x-api-key', API_KEY);
    const unary = client as unknown as Record<string, (...all: unknown[]) => void>;
    return new Promise<Awaited<ReturnType<Call>>>((resolve, reject) => {
      unary[method]?.call(
        client,
        message,
        metadata,
        (error: Error | null, answer: Record<string, unknown>) => (error ? reject(error) : resolve(answer)),
      );
    }).finally(() => client.close());
  }

  /** Publishes to channels, in this order; at most 500 events. */
  async publish(
    channels: string | string[],
    ...events: { type: string; data: unknown; event_id?: string }[]
  ): Promise<void> {
    const { results } = await this.call('EventsService', 'PublishBatch', {
      events: events.map(({ data, ...event }) => ({
        event: { ...event, payload: Buffer.from(JSON.stringify(data)) },
        channels: [channels].flat(),
      })),
    });
    const wrong = (results as { problem?: { reason: string } }[]).find(({ problem }) => problem);
    if (wrong) throw new Error(`not published: ${wrong.problem?.reason}`);
  }

  order(orderId: string, version: number, status: string, more: object = {}) {
    const payload = Buffer.from(JSON.stringify({ id: Number(orderId), status, note: `n${version}` }));
    const update = {
      order_id: orderId,
      version,
      status: `ORDER_STATUS_${status}`,
      customer_id: '7',
      restaurant_id: '12',
      payload,
      ...more,
    };
    return this.call('OrdersService', 'PublishOrder', { update });
  }

  room(roomId: string, users: string[]) {
    const roles = ['CUSTOMER', 'COURIER', 'RESTAURANT'];
    const members = users.map((user, index) => ({
      user_id: user,
      role: `MEMBER_ROLE_${roles[index]}`,
      name: `User ${user}`,
    }));
    return this.call('ChatService', 'PutRoom', {
      room: { room_id: roomId, type: 'ROOM_TYPE_RIDER_CUSTOMER', members },
    });
  }

  notify(userId: string, title: string, more: object = {}) {
    const notice = { user_id: userId, type: 'SYSTEM', title, message: `${title}.`, ...more };
    return this.call('NotificationsService', 'Notify', notice);
  }
}

/** In front of a tier: can refuse sockets, cut what is open, and take nothing at all. */
export class Relay {
  readonly #server: Server;
  readonly #open = new Set<Socket>();
  refusesSockets = false;
  /** `/events/…` requests that were let through. */
  polls = 0;

  private constructor(server: Server) {
    this.#server = server;
  }

  static async to(port: number): Promise<Relay> {
    const server = createServer();
    const relay = new Relay(server);
    server.on('request', (asked: IncomingMessage, answer: ServerResponse) => {
      if (asked.url?.startsWith('/events/')) relay.polls += 1;
      const onward = request(
        { port, host: '127.0.0.1', method: asked.method, path: asked.url, headers: asked.headers },
        (response) => {
          answer.writeHead(response.statusCode ?? 502, response.headers);
          response.pipe(answer);
        },
      );
      onward.on('error', () => answer.writeHead(502).end());
      answer.on('close', () => onward.destroy());
      asked.pipe(onward);
    });
    server.on('upgrade', (asked: IncomingMessage, socket: Socket, head: Buffer) => {
      if (relay.refusesSockets) {
        socket.end('HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n');
        return;
      }
      const onward = connectTo(port, '127.0.0.1', () => {
        const lines = [`GET ${asked.url} HTTP/1.1`];
        for (let at = 0; at < asked.rawHeaders.length; at += 2) {
          lines.push(`${asked.rawHeaders[at]}: ${asked.rawHeaders[at + 1]}`);
        }
        onward.write(`${lines.join('\r\n')}\r\n\r\n`);
        onward.write(head);
        socket.pipe(onward).pipe(socket);
      });
      for (const end of [socket, onward]) {
        relay.#open.add(end);
        end.on('error', () => {});
        end.on('close', () => {
          relay.#open.delete(end);
          socket.destroy();
          onward.destroy();
        });
      }
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return relay;
  }

  get url(): string {
    return `ws://127.0.0.1:${(this.#server.address() as AddressInfo).port}/ws`;
  }

  /** Sockets that are open through it. */
  get sockets(): number {
    return this.#open.size / 2;
  }

  cut(): void {
    for (const socket of this.#open) socket.destroy();
  }

  async close(): Promise<void> {
    this.cut();
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
