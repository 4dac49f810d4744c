// What the compiler must say of an application; `tsc` is the test.

import { type ChatMessage, payloadOf, platepal } from '../src/index.ts';
import { useOrder } from '../src/react.ts';

export function application(): unknown {
  const { orders, realtime, delivery } = platepal({
    token: 'x',
    env: { VITE_WS_URL: 'ws://localhost:8000/ws' },
  });
  const note: string | undefined = orders.watch<{ note: string }>(1).current.value?.order.note;
  const feed = realtime.feed('customer:7');
  feed.on('chat_message', ({ data }) => {
    const message: ChatMessage = data;
    return message;
  });
  // Both spellings are one type.
  feed.on('order.accepted', ({ data }) => data.order_version.toFixed());
  feed.on('delivery.status_changed', ({ data }) => payloadOf(data).status === 'IN_TRANSIT');
  // What the catalogue does not know has no shape.
  feed.on('loyalty.points_earned', ({ data }) => {
    // @ts-expect-error its shape is not known
    return data.points;
  });
  // @ts-expect-error there is no such channel
  realtime.feed('kitchen:7');
  // @ts-expect-error a fix has a longitude
  void delivery.report({ latitude: 60 });
  return note;
}

export function Component(): string | undefined {
  return useOrder<{ note: string }>(1).value?.order.note;
}
