// React hooks. A component that renders again, or twice as in strict mode, goes on with the same subscription.

import {
  createContext,
  createElement,
  type ReactNode,
  useContext,
  useEffect,
  useRef,
  useState,
  useSyncExternalStore,
} from 'react';
import { type ChatRoom, type ChatView, chat } from './chat.ts';
import { type DeliveryView, delivery } from './delivery.ts';
import type { Handler } from './events.ts';
import type { ChannelName } from './generated/catalogue.ts';
import { type MenuView, menu } from './menu.ts';
import { type Inbox, type InboxView, notifications } from './notifications.ts';
import { type OrderView, orders } from './orders.ts';
import type { Realtime } from './realtime.ts';
import type { State } from './state.ts';
import type { Moment, Watch } from './watch.ts';

const Context = createContext<Realtime | undefined>(undefined);

/** Gives the connection to all hooks below it. Make it once, outside of components, or when somebody signs in. */
export function RealtimeProvider({
  realtime,
  children,
}: {
  realtime: Realtime;
  children?: ReactNode;
}): ReactNode {
  return createElement(Context.Provider, { value: realtime }, children);
}

export function useRealtime(): Realtime {
  const realtime = useContext(Context);
  if (!realtime)
    throw new Error('there is no <RealtimeProvider realtime={connect({ … })}> above this component');
  return realtime;
}

const NOTHING: Moment<never> = { value: undefined, state: 'catching-up', error: undefined };
const never = () => () => {};

/** Watches as long as the component is there. `open` is called anew when the connection or the key changes. */
export function useWatch<T, W extends Watch<T>>(
  key: string | number | null | undefined,
  open: (realtime: Realtime) => W | Promise<W>,
): Moment<T> & { watch: W | undefined } {
  const realtime = useRealtime();
  const [watch, setWatch] = useState<W>();
  const latest = useRef(open);
  latest.current = open;
  useEffect(() => {
    if (key === null || key === undefined) return;
    let isWanted = true;
    let opened: W | undefined;
    void Promise.resolve(latest.current(realtime)).then(
      (made) => {
        opened = made;
        if (isWanted) setWatch(made);
        else made.close();
      },
      // Without a user there is no inbox; the connection's own error says why.
      () => {},
    );
    return () => {
      isWanted = false;
      opened?.close();
      setWatch(undefined);
    };
  }, [realtime, key]);
  const moment = useSyncExternalStore(
    watch?.subscribe ?? never,
    () => watch?.current ?? (NOTHING as Moment<T>),
    () => NOTHING as Moment<T>,
  );
  return { ...moment, watch };
}

/** `const { value, state } = useOrder(5012)`; with `null` nothing is watched. */
export const useOrder = <Order = Record<string, unknown>>(orderId: number | string | null | undefined) =>
  useWatch<OrderView<Order>, Watch<OrderView<Order>>>(orderId, (realtime) =>
    orders(realtime).watch<Order>(orderId as string),
  );

export const useDelivery = (deliveryId: number | string | null | undefined) =>
  useWatch<DeliveryView, Watch<DeliveryView>>(deliveryId, (realtime) =>
    delivery(realtime).track(deliveryId as string),
  );

export const useMenu = (restaurantId: number | string | null | undefined) =>
  useWatch<MenuView, Watch<MenuView>>(restaurantId, (realtime) =>
    menu(realtime).watch(restaurantId as string),
  );

/** `const { value, watch } = useChatRoom(88)`; `watch?.send('hello')`. */
export const useChatRoom = (roomId: number | string | null | undefined) =>
  useWatch<ChatView, ChatRoom>(roomId, (realtime) => chat(realtime).room(roomId as string));

export const useInbox = () => useWatch<InboxView, Inbox>('', (realtime) => notifications(realtime).inbox());

/** How fresh the connection is: `live`, `catching-up`, `polling`, `offline`. */
export function useConnection(): State {
  const realtime = useRealtime();
  return useSyncExternalStore(
    (listener) => realtime.onState(listener),
    () => realtime.state,
    () => 'catching-up' as const,
  );
}

/** Calls the handler, always the one of the last render, for events of a channel: `useEvent('customer:7', 'promo_published', …)`. */
export function useEvent<Type extends string>(
  channel: ChannelName | null,
  type: Type,
  handler: Handler<Type>,
): void {
  const realtime = useRealtime();
  const latest = useRef(handler);
  latest.current = handler;
  useEffect(() => {
    if (!channel) return;
    const feed = realtime.feed(channel);
    feed.on(type, (event) => latest.current(event));
    return () => feed.close();
  }, [realtime, channel, type]);
}
