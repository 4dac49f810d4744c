import type {} from '../page/page.tsx';
import { expect, test, until } from './world.ts';

test('the plain socket comes back by itself and names the last event it saw', async ({
  tier,
  relay,
  tab,
}) => {
  const page = await tab();
  await page.evaluate((url) => {
    const socket = new window.sdk.ReconnectingSocket({
      feed: 'customer:7',
      token: () => window.newToken(7, 3600),
      url,
    });
    const [seen, statuses]: [number[], string[]] = [[], []];
    socket.onStatus((status) => statuses.push(status));
    socket.on('system.alert', ({ data }) => seen.push((data as { n: number }).n));
    socket.connect();
    window.kept = { socket, seen, statuses };
  }, relay.url);
  const kept = <T>(name: string) => page.evaluate((name) => window.kept[name] as T, name);
  const status = () => page.evaluate(() => (window.kept.socket as { status: string }).status);
  await until(async () => (await status()) === 'connected', 'it is connected');
  const alerts = (from: number, to: number) =>
    Array.from({ length: to - from }, (_, index) => ({ type: 'system.alert', data: { n: from + index } }));
  await tier.publish('customer:7', ...alerts(0, 5));
  await until(async () => (await kept<number[]>('seen')).length === 5, 'five came');
  relay.cut();
  await tier.publish('customer:7', ...alerts(5, 30));
  await until(async () => (await kept<number[]>('seen')).length === 30, 'all came');
  expect(await kept('seen')).toEqual(Array.from({ length: 30 }, (_, n) => n));
  expect(await kept('statuses')).toEqual(['connecting', 'connected', 'reconnecting', 'connected']);
  await page.evaluate(() => (window.kept.socket as { disconnect(): void }).disconnect());
  expect(await status()).toBe('disconnected');
});
