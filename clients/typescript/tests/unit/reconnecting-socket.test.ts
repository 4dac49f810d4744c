// What PlatePal's frontends do, by the contract: its waits and attempts on a clock of the test's own.

import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { ReconnectingSocket, type ReconnectingSocketOptions } from '../../src/reconnecting-socket.ts';
import { tokenFor } from '../servers.ts';

/** A socket in the test's hands. */
class Wire {
  static all: Wire[] = [];
  static get last(): Wire {
    return Wire.all.at(-1) as Wire;
  }
  readyState = 0;
  readonly url: URL;
  readonly sent: unknown[] = [];
  closedWith: number | undefined;
  onopen = () => {};
  onmessage = (_: { data: string }) => {};
  onclose = (_: { code: number; reason: string }) => {};
  constructor(url: string) {
    this.url = new URL(url);
    Wire.all.push(this);
  }
  opens() {
    this.readyState = 1;
    this.onopen();
  }
  says(frame: object) {
    this.onmessage({ data: JSON.stringify(frame) });
  }
  ends(code: number, reason = '') {
    this.readyState = 3;
    this.onclose({ code, reason });
  }
  send(text: string) {
    this.sent.push(JSON.parse(text));
  }
  close(code = 1006) {
    this.closedWith = code;
    this.ends(code);
  }
}

beforeEach(() => {
  vi.useFakeTimers();
  Wire.all = [];
});
afterEach(() => vi.useRealTimers());

function socket(more: Partial<ReconnectingSocketOptions> = {}): ReconnectingSocket {
  const websocket = Wire as unknown as typeof WebSocket;
  return new ReconnectingSocket({
    feed: 'customer:7',
    token: tokenFor(7),
    url: 'ws://tier/ws',
    websocket,
    ...more,
  });
}

const soon = () => vi.advanceTimersByTimeAsync(0);

test('it opens the feed with its token, and hears both spellings', async () => {
  const own = socket();
  const seen: unknown[] = [];
  own.on('order_accepted', ({ data }) => seen.push(data));
  const off = own.on('order.accepted', ({ event_id }) => seen.push(event_id));
  own.connect();
  await soon();
  expect(Wire.last.url.pathname).toBe('/ws/customer/7');
  expect(Wire.last.url.searchParams.get('token')).toMatch(/^ey/);
  expect([own.status, own.send('typing', { is_typing: true })]).toEqual(['connecting', false]);
  Wire.last.opens();
  Wire.last.says({ type: 'order_accepted', data: 1, event_id: 'a' });
  off();
  Wire.last.says({ type: 'order.accepted', data: 2, event_id: 'b' });
  Wire.last.onmessage({ data: 'not JSON' });
  expect([own.status, own.lastEventId, seen]).toEqual(['connected', 'b', [1, 'a', 2]]);
  expect(own.send('typing', { is_typing: true })).toBe(true);
  Wire.last.says({ type: 'ping' });
  expect(Wire.last.sent).toEqual([{ type: 'typing', is_typing: true }, { type: 'pong' }]);
});

test('it comes back after 1 s, 2 s, 4 s … 30 s with the last event, at most ten times', async () => {
  const own = socket();
  own.connect();
  await soon();
  Wire.last.opens();
  Wire.last.says({ type: 'x', event_id: 'seen' });
  for (const seconds of [1, 2, 4, 8, 16, 30, 30, 30, 30, 30]) {
    Wire.last.ends(1006);
    expect(own.status).toBe('reconnecting');
    const before = Wire.all.length;
    await vi.advanceTimersByTimeAsync(seconds * 1000 - 1);
    expect(Wire.all.length).toBe(before);
    await vi.advanceTimersByTimeAsync(1);
    expect(Wire.all.length).toBe(before + 1);
    expect(Wire.last.url.searchParams.get('since_event_id')).toBe('seen');
  }
  Wire.last.ends(1006);
  expect([own.status, own.error?.code]).toEqual(['failed', 'unavailable']);
  own.connect();
  await soon();
  Wire.last.opens();
  expect(own.status).toBe('connected');
});

test('a connection that held begins to count anew, although nothing was heard', async () => {
  const own = socket();
  own.connect();
  for (let round = 0; round < 12; round += 1) {
    await soon();
    Wire.last.opens();
    await vi.advanceTimersByTimeAsync(60_000);
    Wire.last.ends(1012);
    expect(own.status).toBe('reconnecting');
    await vi.advanceTimersByTimeAsync(1_000);
  }
});

test('a handshake that takes longer than five seconds is given up', async () => {
  const own = socket();
  own.connect();
  await vi.advanceTimersByTimeAsync(4_999);
  expect(Wire.last.closedWith).toBeUndefined();
  await vi.advanceTimersByTimeAsync(1);
  expect(Wire.last.closedWith).toBeDefined();
  expect(own.status).toBe('reconnecting');
});

test('codes that say so end it for good', async () => {
  for (const [code, status, word] of [
    [1000, 'disconnected', undefined],
    [4003, 'failed', 'forbidden'],
    [4000, 'failed', 'forbidden'],
    [4001, 'failed', 'unauthorised'],
  ] as const) {
    const own = socket();
    own.connect();
    await soon();
    Wire.last.opens();
    Wire.last.ends(code, 'because');
    expect([own.status, own.error?.code]).toEqual([status, word]);
    const count = Wire.all.length;
    await vi.advanceTimersByTimeAsync(60_000);
    expect(Wire.all.length).toBe(count);
  }
});

test('a refused token is replaced where there is a function that gives another', async () => {
  let asked = 0;
  const own = socket({ token: () => tokenFor(7, { asked: ++asked }) });
  own.connect();
  await soon();
  Wire.last.ends(4001, 'token expired');
  await vi.advanceTimersByTimeAsync(1_000);
  expect([asked, Wire.all.length]).toEqual([2, 2]);
});

test('disconnecting ends what is under way, and nothing of it is heard again', async () => {
  const own = socket();
  const seen: unknown[] = [];
  own.on('*', ({ type }) => seen.push(type));
  own.connect();
  await soon();
  const [wire] = Wire.all;
  wire?.opens();
  own.disconnect();
  expect([own.status, wire?.closedWith]).toEqual(['disconnected', 1000]);
  wire?.says({ type: 'late' });
  await vi.advanceTimersByTimeAsync(60_000);
  expect([seen, Wire.all.length]).toEqual([[], 1]);
});

test('VITE_WS_ENABLED=false opens nothing and says why', () => {
  const own = socket({ env: { VITE_WS_ENABLED: 'false' } });
  own.connect();
  expect([own.status, own.error?.message, Wire.all.length]).toEqual([
    'failed',
    'sockets are switched off by VITE_WS_ENABLED',
    0,
  ]);
});
