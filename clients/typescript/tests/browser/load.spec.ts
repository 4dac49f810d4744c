import type {} from '../page/page.tsx';
import { expect, test, until } from './world.ts';

/** As they are published, which is no faster than the tier's disk; then in one go. */
const FEW = 2_000;
const FRAMES = 10_000;
const AT_ONCE = 500;
/** What may be left after them, in bytes: a leak of 200 bytes a frame would show. */
const GROWTH_MAX = 2_000_000;

test('10,000 frames come in order, leave nothing behind, and let the page paint', async ({
  tier,
  relay,
  tab,
}) => {
  // A debug build of the tier needs its time to keep as many.
  test.setTimeout(300_000);
  const page = await tab();
  await page.evaluate((url) => {
    const realtime = window.begin(url, 7);
    const counts = { next: 0, wrong: 0, told: 0, painted: [] as number[] };
    const watch = realtime.watch<{ n: number }>({
      channel: 'customer:7',
      reduce: (held, { type, data }) => (type === 'system_alert' ? { n: (data as { n: number }).n } : held),
    });
    watch.on('system_alert', ({ data }) => {
      counts.wrong += (data as { n: number }).n === counts.next ? 0 : 1;
      counts.next += 1;
    });
    const shown = document.body.appendChild(document.createElement('p'));
    watch.subscribe(() => {
      counts.told += 1;
      shown.textContent = `${watch.current.value?.n} ${watch.current.state}`;
    });
    let last = performance.now();
    const paint = (now: number) => {
      counts.painted.push(now - last);
      last = now;
      requestAnimationFrame(paint);
    };
    requestAnimationFrame(paint);
    window.kept = { counts, watch };
  }, relay.url);
  const counts = () =>
    page.evaluate(
      () => window.kept.counts as { next: number; wrong: number; told: number; painted: number[] },
    );
  await until(
    () => page.evaluate(() => (window.kept.watch as { current: { state: string } }).current.state === 'live'),
    'it is live',
  );

  const devtools = await page.context().newCDPSession(page);
  const heap = async () => {
    await devtools.send('HeapProfiler.collectGarbage');
    return (await devtools.send('Runtime.getHeapUsage')).usedSize;
  };
  let sent = 0;
  const publish = async (count: number) => {
    const goal = sent + count;
    for (; sent < goal; sent += AT_ONCE) {
      const events = Array.from({ length: AT_ONCE }, (_, index) => ({
        type: 'system.alert',
        data: { n: sent + index, text: 'x'.repeat(200) },
      }));
      await tier.publish('customer:7', ...events);
    }
  };
  const measured = async (what: string, action: () => Promise<void>) => {
    await page.evaluate(() => {
      (window.kept.counts as { painted: number[] }).painted.length = 0;
    });
    const [began, before] = [Date.now(), await counts()];
    await action();
    await until(async () => (await counts()).next >= sent, 'all came');
    const { told, painted } = await counts();
    painted.sort((one, other) => one - other);
    const at = (share: number) => (painted[Math.floor((painted.length - 1) * share)] ?? 0).toFixed(1);
    console.log(
      `      ${what}, in ${Date.now() - began} ms: ${painted.length} paints, ms between them ` +
        `p50 ${at(0.5)}, p99 ${at(0.99)}, longest ${at(1)}; listeners told ${told - before.told} times`,
    );
  };
  // The first round fills what is bounded.
  await measured(`${FEW} frames as they are published`, () => publish(FEW));
  const before = await heap();
  await page.context().setOffline(true);
  await publish(FRAMES);
  await measured(`${FRAMES} frames in one go, after a break`, () => page.context().setOffline(false));
  const { next, wrong, told } = await counts();
  const growth = (await heap()) - before;
  console.log(`      heap: ${growth} bytes more than after the first round`);
  expect({ next, wrong }).toEqual({ next: FEW + FRAMES, wrong: 0 });
  expect(told).toBeLessThan(next);
  expect(growth).toBeLessThan(GROWTH_MAX);
});
