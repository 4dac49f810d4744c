import { expect, test } from 'vitest';
import { href, parseRoute, type Route } from '../../console/routes.ts';

const ROUTES: Route[] = [
  { view: 'overview' },
  { view: 'channels', pattern: '' },
  { view: 'channels', pattern: 'customer:*&?' },
  { view: 'channel', name: 'customer:7' },
  { view: 'channel', name: 'a/b?c#d e%' },
  { view: 'event', id: '0d6c9a55-1111-4222-8333-444455556666', channel: 'order:5012' },
  { view: 'event', id: '', channel: '' },
  { view: 'users', id: '' },
  { view: 'users', id: 'share:5012' },
  { view: 'outbox' },
  { view: 'settings', find: 'edge conn', changed: true },
  { view: 'settings', find: '', changed: false },
];

test.each(ROUTES)('$view leads back to itself', (route) => {
  expect(parseRoute(href(route))).toEqual(route);
});

test('no address is the overview, and an unknown one is said to be unknown', () => {
  expect(parseRoute('')).toEqual({ view: 'overview' });
  expect(parseRoute('#')).toEqual({ view: 'overview' });
  expect(parseRoute('#/nowhere/else')).toEqual({ view: 'unknown', path: 'nowhere/else' });
});

test('a damaged address breaks nothing', () => {
  expect(parseRoute('#/channels/%E0%A4%A')).toEqual({ view: 'channel', name: '%E0%A4%A' });
});
