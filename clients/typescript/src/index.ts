// What an application may use. Nothing happens when this is imported; what is not used is left out of bundles.

export type { Env } from './address.ts';
export { type ChatRoom, type ChatView, chat, type Draft, reduceChat, type Sent } from './chat.ts';
export { ageNow, type DeliveryView, delivery, reduceDelivery } from './delivery.ts';
export { type ErrorCode, RealtimeError } from './errors.ts';
export type { Frame, Handler, Payloads } from './events.ts';
export type * from './generated/catalogue.ts';
export type { Reader } from './hub.ts';
export { isAvailable, type MenuItem, type MenuView, menu, reduceMenu } from './menu.ts';
export { type Device, type Inbox, type InboxView, notifications, reduceInbox } from './notifications.ts';
export { type OrderView, orderSnapshot, orders, reduceOrder } from './orders.ts';
export type * from './payloads/chat.ts';
export { type Envelope, type Id, type Published, payloadOf } from './payloads/envelope.ts';
export type * from './payloads/menus.ts';
export type * from './payloads/notifications.ts';
export type * from './payloads/orders.ts';
export type * from './payloads/tracking.ts';
export { platepal } from './platepal.ts';
export type { Poll, PollRequest } from './polls.ts';
export { connect, type Feed, type Options, Realtime } from './realtime.ts';
export {
  ReconnectingSocket,
  type ReconnectingSocketOptions,
  type SocketStatus,
} from './reconnecting-socket.ts';
export type { Transport } from './sockets.ts';
export type { Start } from './source.ts';
export type { State } from './state.ts';
export type { TokenSource } from './tokens.ts';
export type { Moment, Subject, Watch } from './watch.ts';
