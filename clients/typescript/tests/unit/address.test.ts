import { expect, test } from 'vitest';
import { addresses, feedPath, socketsEnabled } from '../../src/address.ts';

test.each([
  ['ws://localhost:8000/ws', 'localhost:8000', ''],
  ['ws://localhost:8000/ws/', 'localhost:8000', ''],
  ['ws://localhost:8000', 'localhost:8000', ''],
  ['wss://realtime.example/ws', 'realtime.example', 's'],
  ['https://realtime.example/tier/ws/', 'realtime.example/tier', 's'],
])('%s leads to all of the tier', (url, base, safe) => {
  const all = addresses(url);
  expect(all.sockets).toBe(`ws${safe}://${base}/ws`);
  expect(all.connection('websocket')).toBe(`ws${safe}://${base}/connection/websocket`);
  expect(all.connection('http_stream')).toBe(`http${safe}://${base}/connection/http_stream`);
  expect(all.emulation).toBe(`http${safe}://${base}/emulation`);
  expect(all.events).toBe(`http${safe}://${base}/events`);
});

test('what is no address is said to be none, with an example', () => {
  expect(() => addresses('nowhere')).toThrow(/nowhere is no address; VITE_WS_URL is like ws:/);
});

test('feeds are at the paths that the frontends know', () => {
  const channels = ['customer:7', 'restaurant:12', 'rider:31', 'chat:88', 'admin', 'menu:12', 'all'];
  const paths = ['/customer/7', '/orders/12', '/delivery/31', '/chat/88', '/admin', '/menu/12', undefined];
  expect(channels.map(feedPath)).toEqual(paths);
});

test('only the word false turns sockets off', () => {
  const values = ['false', 'False', false, 'true', true, '', undefined];
  const on = values.map((VITE_WS_ENABLED) => socketsEnabled({ VITE_WS_ENABLED }));
  expect(on).toEqual([false, false, false, true, true, true, true]);
});
