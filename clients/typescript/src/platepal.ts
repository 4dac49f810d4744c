// All of it at once, for an application that uses most: one connection and its domains.

import { chat } from './chat.ts';
import { delivery } from './delivery.ts';
import { menu } from './menu.ts';
import { notifications } from './notifications.ts';
import { orders } from './orders.ts';
import { connect, type Options } from './realtime.ts';

/** `const { orders, delivery, chat, notifications, menu, realtime } = platepal({ token, env: import.meta.env })` */
export function platepal(options: Options) {
  const realtime = connect(options);
  return {
    realtime,
    orders: orders(realtime),
    delivery: delivery(realtime),
    chat: chat(realtime),
    notifications: notifications(realtime),
    menu: menu(realtime),
  };
}
