// A real tier with a console, and what tests do with it.
//
// Hides ports, waiting and cleaning up, never behaviour. Nothing here sleeps for a time and hopes: it looks until a condition
// holds, or fails with what the process printed.

import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:http2';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import WebSocket from 'ws';

export const PASSWORD = 'a-password-of-tests-and-of-nothing-else';
export const SECRET = 'a-secret-of-tests-and-of-nothing-else';
const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
const PATIENCE_MS = 30_000;

/** Looks until a condition gives something true, and gives that. */
export async function until<T>(condition: () => T | Promise<T>, what: string): Promise<NonNullable<T>> {
  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    const value = await condition();
    if (value) return value as NonNullable<T>;
    if (Date.now() > deadline) throw new Error(`waited in vain until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

async function freePort(): Promise<number> {
  const listener = createServer();
  await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve));
  const { port } = listener.address() as AddressInfo;
  await new Promise((resolve) => listener.close(resolve));
  return port;
}

function binary(): string {
  const built = join(process.env.CARGO_TARGET_DIR ?? join(ROOT, 'target'), 'debug/platepal-realtime');
  const path = process.env.PLATEPAL_REALTIME_BINARY ?? built;
  if (existsSync(path)) return path;
  throw new Error(
    `there is no ${path}: \`cargo build -p platepal-realtime\`, or set PLATEPAL_REALTIME_BINARY to the tier's binary`,
  );
}

interface Ports {
  http: number;
  grpc: number;
  admin: number;
  console: number;
}

/** Every role in one process, with ports and data that outlive restarts. */
export class Tier {
  readonly #folder = mkdtempSync(join(tmpdir(), 'platepal-console-'));
  readonly #ports: Ports;
  #process: ChildProcess | undefined;
  #output = '';
  readonly #sockets: WebSocket[] = [];

  private constructor(ports: Ports) {
    this.#ports = ports;
  }

  static async start(): Promise<Tier> {
    const [http, grpc, admin, console] = [
      await freePort(),
      await freePort(),
      await freePort(),
      await freePort(),
    ];
    const tier = new Tier({ http, grpc, admin, console });
    await tier.start();
    return tier;
  }

  /** Where the console's page is. */
  get url(): string {
    return `http://127.0.0.1:${this.#ports.console}/`;
  }

  get #environment(): NodeJS.ProcessEnv {
    const own = Object.entries(process.env).filter(([name]) => !name.startsWith('REALTIME_'));
    const { http, grpc, admin, console } = this.#ports;
    return {
      ...Object.fromEntries(own),
      NO_COLOR: '1',
      REALTIME_JWT_SECRET: SECRET,
      REALTIME_HTTP_ADDR: `127.0.0.1:${http}`,
      REALTIME_GRPC_ADDR: `127.0.0.1:${grpc}`,
      REALTIME_ADMIN_ADDR: `127.0.0.1:${admin}`,
      REALTIME_DATA_DIR: this.#folder,
      REALTIME_CONSOLE_ADDR: `127.0.0.1:${console}`,
      REALTIME_CONSOLE_PASSWORD: PASSWORD,
      REALTIME_CONSOLE_SAMPLE_INTERVAL: '500ms',
      REALTIME_NOTIFICATIONS_PRODUCE: 'false',
    };
  }

  async start(): Promise<void> {
    const child = spawn(binary(), { stdio: ['ignore', 'pipe', 'pipe'], env: this.#environment });
    this.#process = child;
    for (const stream of [child.stdout, child.stderr]) {
      stream?.on('data', (text) => {
        this.#output += text;
      });
    }
    await until(async () => {
      if (child.exitCode !== null) throw new Error(`the tier ended before it was ready:\n${this.#output}`);
      return fetch(`http://127.0.0.1:${this.#ports.admin}/readyz`).then(
        ({ ok }) => ok,
        () => false,
      );
    }, 'the tier is ready');
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
    this.hangUp();
    await this.kill();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  /** What it printed so far. */
  get output(): string {
    return this.#output;
  }

  async #command(...words: string[]): Promise<string> {
    const { stdout } = await promisify(execFile)(binary(), words, { env: this.#environment });
    return stdout.trim();
  }

  /** An access token as Django makes it. */
  token(user: string): Promise<string> {
    return this.#command('token', '--user', user);
  }

  async publish(channel: string, type: string, payload: object, eventId: string): Promise<void> {
    const event = ['--type', type, '--payload', JSON.stringify(payload), '--event-id', eventId];
    await this.#command('publish', '--channel', channel, ...event);
  }

  /** Over gRPC, as a relay of Django's does it: `ReportOutbox`, of which few fields are needed. */
  async reportOutbox(name: string, waiting: number, dead: number): Promise<void> {
    const text = Buffer.from(name);
    const message = Buffer.from([0x0a, text.length, ...text, 0x10, waiting, 0x20, dead, 0x28, 7]);
    const head = Buffer.alloc(5);
    head.writeUInt32BE(message.length, 1);
    const connection = connect(`http://127.0.0.1:${this.#ports.grpc}`);
    try {
      await new Promise<void>((resolve, reject) => {
        const call = connection.request({
          ':method': 'POST',
          ':path': '/platepal.realtime.v1.EventsService/ReportOutbox',
          'content-type': 'application/grpc',
          te: 'trailers',
        });
        let status: unknown;
        // An answer without a body has it in its only headers.
        call.on('response', (headers) => {
          status = headers['grpc-status'];
        });
        call.on('trailers', (trailers) => {
          status = trailers['grpc-status'];
        });
        call.on('error', reject);
        call.on('end', () =>
          status === '0' ? resolve() : reject(new Error(`ReportOutbox: status ${status}`)),
        );
        call.resume();
        call.end(Buffer.concat([head, message]));
      });
    } finally {
      connection.close();
    }
  }

  /** An open socket of a customer's. */
  async socket(user: string, token?: string): Promise<WebSocket> {
    const socket = await this.trySocket(user, token ?? (await this.token(user)));
    await new Promise<void>((resolve, reject) => {
      socket.once('open', resolve);
      socket.once('error', reject);
    });
    return socket;
  }

  trySocket(user: string, token: string): WebSocket {
    const socket = new WebSocket(`ws://127.0.0.1:${this.#ports.http}/ws/customer/${user}?token=${token}`);
    this.#sockets.push(socket);
    return socket;
  }

  /** Ends all sockets. */
  hangUp(): void {
    for (const socket of this.#sockets.splice(0)) socket.terminate();
  }
}

/** The code with which it is closed. */
export function closed(socket: WebSocket): Promise<number> {
  return new Promise((resolve) => socket.once('close', resolve));
}
