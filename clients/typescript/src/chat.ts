// Chat: one room as it is now, and what its members do. A room has one order, the same for everybody.

import { errorOf } from './errors.ts';
import type { Frame } from './events.ts';
import type { MessageType } from './generated/catalogue.ts';
import type { ChatMessage, ChatRead, ChatRoomState, DeskRoom, Typing } from './payloads/chat.ts';
import type { Id } from './payloads/envelope.ts';
import type { Realtime } from './realtime.ts';
import { backoffMs } from './state.ts';
import type { Watch } from './watch.ts';

export interface ChatView {
  roomId: string;
  /** In the room's order; held ones, which only their sender sees, last. */
  messages: readonly ChatMessage[];
  /** There are older ones: `loadOlder`. */
  hasOlder: boolean;
  /** Of the newest thing that happened. */
  sequence: number;
  /** Who has read up to where, by the user's id. */
  reads: ReadonlyMap<string, number>;
  /** Who types now, by the user's id. */
  typing: ReadonlyMap<string, string>;
  /** As far as it was told. */
  room?: ChatRoomState;
}

interface Page {
  messages: ChatMessage[];
  more: boolean;
  sequence: number;
}

export interface Sent {
  message: ChatMessage;
  /** It was sent before, under the same `client_id`. */
  duplicate: boolean;
  /** It waits for somebody to decide. */
  held: boolean;
}

const PAGE = 50;
/** An answer that is lost is asked for again so often; the same `client_id` makes it the same message. */
const ATTEMPTS = 4;
const RETRY_MS = [500, 4_000] as const;
/** The tier takes no more of one user, in milliseconds. */
const TYPING_MS = 2_000;

const empty = (roomId: string): ChatView => ({
  roomId,
  messages: [],
  hasOlder: false,
  sequence: 0,
  reads: new Map(),
  typing: new Map(),
});

/** Messages put where they belong; of one message the newest state. */
function merge(held: readonly ChatMessage[], more: readonly ChatMessage[]): ChatMessage[] {
  const all = new Map(held.map((message) => [message.id, message]));
  for (const message of more) {
    const before = all.get(message.id);
    if (!before || message.changed >= before.changed) all.set(message.id, message);
  }
  const place = ({ sequence }: ChatMessage) => sequence || Number.POSITIVE_INFINITY;
  return [...all.values()].sort((one, other) => place(one) - place(other) || one.id - other.id);
}

const said = (view: ChatView, messages: readonly ChatMessage[], sequence = 0): ChatView => ({
  ...view,
  messages: merge(view.messages, messages),
  sequence: Math.max(view.sequence, sequence, ...messages.map(({ changed }) => changed)),
});

/** A room with what an event says. Pure. */
export const reduceChat =
  (roomId: string) =>
  (held: ChatView | undefined, { type, data }: Frame): ChatView | undefined => {
    const view = held ?? empty(roomId);
    switch (type) {
      case 'chat_message': {
        const message = data as ChatMessage;
        const typing = new Map(view.typing);
        typing.delete(String(message.sender));
        return { ...said(view, [message]), typing };
      }
      case 'chat_message_edited':
      case 'chat_message_deleted':
        return said(view, [data as ChatMessage]);
      case 'chat_read': {
        const { user_id, sequence } = data as ChatRead;
        if (sequence <= (view.reads.get(String(user_id)) ?? 0)) return held;
        return { ...view, reads: new Map(view.reads).set(String(user_id), sequence) };
      }
      case 'chat_room': {
        const room = data as ChatRoomState;
        if (room.sequence < (view.room?.sequence ?? 0)) return held;
        return { ...view, room, sequence: Math.max(view.sequence, room.sequence) };
      }
      case 'typing': {
        const { user_id, user_name, is_typing } = data as Typing;
        const typing = new Map(view.typing);
        if (is_typing) typing.set(String(user_id), user_name);
        else typing.delete(String(user_id));
        return { ...view, typing };
      }
    }
    return held;
  };

export interface Draft {
  type?: Exclude<MessageType, 'SYSTEM'>;
  image_url?: string;
  file_url?: string;
  attachment?: { url: string; content_type?: string; bytes?: number };
  /** Names the message, so that a repeat is the same one. One is made. */
  client_id?: string;
}

export interface ChatRoom extends Watch<ChatView> {
  /** Resolves when it is kept. An answer that is lost is asked for again, which is harmless. */
  send(content: string, draft?: Draft): Promise<Sent>;
  /** Call it at every key; what is too much is not sent. */
  typing(isTyping: boolean): void;
  /** Everything up to there, or everything. */
  markRead(sequence?: number): Promise<void>;
  edit(messageId: number, content: string): Promise<ChatMessage>;
  delete(messageId: number): Promise<ChatMessage>;
  /** False: there are no older ones. */
  loadOlder(): Promise<boolean>;
  /** Who is in the room now. */
  presence(): Promise<Id[]>;
}

/** `chat(realtime).room(88)` */
export const chat = (realtime: Realtime) => ({
  room: (roomId: number | string): ChatRoom => room(realtime, String(roomId)),
  unread: () =>
    realtime.call<{
      unread: number;
      rooms: { room: Id; unread: number; read_sequence: number; sequence: number }[];
    }>('chat.unread'),
  search: (words: string, roomId?: number | string) =>
    realtime.call<{ messages: ChatMessage[] }>('chat.search', {
      words,
      ...(roomId === undefined ? {} : { room_id: roomId }),
    }),
  /** Staff: rooms that wait for an agent, and one's own. */
  desk: () => realtime.call<{ waiting: DeskRoom[]; mine: DeskRoom[] }>('chat.desk'),
  take: (roomId: number | string, name: string) =>
    realtime.call<DeskRoom>('chat.take', { room_id: roomId, name }),
  release: (roomId: number | string) => realtime.call<DeskRoom>('chat.release', { room_id: roomId }),
});

function room(realtime: Realtime, roomId: string): ChatRoom {
  const call = <Answer>(method: string, more: object = {}) =>
    realtime.call<Answer>(`chat.${method}`, { room_id: roomId, ...more });
  const watch = realtime.watch<ChatView>({
    channel: `chat:${roomId}`,
    reduce: reduceChat(roomId),
    async load({ fresh }, value) {
      if (!fresh && value) return (held) => held;
      if (!value?.sequence) {
        const page = await call<Page>('history', { limit: PAGE });
        return (held = empty(roomId)) => ({
          ...said(held, page.messages, page.sequence),
          hasOlder: page.more,
        });
      }
      const missed: ChatMessage[] = [];
      for (let after = value.sequence; ; ) {
        const page = await call<Page>('history', { after_sequence: after, limit: PAGE });
        missed.push(...page.messages);
        after = Math.max(after, ...page.messages.map(({ changed }) => changed));
        if (!page.more || page.messages.length === 0)
          return (held = empty(roomId)) => said(held, missed, page.sequence);
      }
    },
  });
  let typedAt = Number.NEGATIVE_INFINITY;
  let isTypingTold = false;

  return Object.assign(watch, {
    async send(content: string, { type = 'TEXT', client_id = crypto.randomUUID(), ...draft }: Draft = {}) {
      for (let attempt = 0; ; attempt += 1) {
        try {
          const sent = await call<Sent>('send', { content, message_type: type, client_id, ...draft });
          watch.apply((held = empty(roomId)) => said(held, [sent.message]));
          isTypingTold = false;
          return sent;
        } catch (why) {
          // What is too much says how long to wait; that is for people to read.
          if (errorOf(why).code !== 'unavailable' || !errorOf(why).retryable || attempt + 1 >= ATTEMPTS)
            throw why;
          await new Promise((resolve) => setTimeout(resolve, backoffMs(attempt, ...RETRY_MS)));
        }
      }
    },
    typing(isTyping: boolean) {
      const now = Date.now();
      if (isTyping ? now - typedAt < TYPING_MS : !isTypingTold) return;
      typedAt = isTyping ? now : Number.NEGATIVE_INFINITY;
      isTypingTold = isTyping;
      // Nobody misses it.
      call('typing', { is_typing: isTyping }).catch(() => {});
    },
    async markRead(sequence = watch.current.value?.sequence ?? 0) {
      if (sequence > 0) await call('read', { sequence });
    },
    edit: (messageId: number, content: string) =>
      call<ChatMessage>('edit', { message_id: messageId, content }),
    delete: (messageId: number) => call<ChatMessage>('delete', { message_id: messageId }),
    async loadOlder() {
      const first = watch.current.value?.messages.find(({ sequence }) => sequence > 0);
      if (!first || !watch.current.value?.hasOlder) return false;
      const page = await call<Page>('history', { before_sequence: first.sequence, limit: PAGE });
      watch.apply((held = empty(roomId)) => ({ ...said(held, page.messages), hasOlder: page.more }));
      return page.more;
    },
    presence: async () => (await call<{ user_ids: Id[] }>('presence')).user_ids,
  });
}
