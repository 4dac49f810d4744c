// Payloads of chat. Source of truth: `crates/chat/src/rules/payload.rs`.

import type { MemberRole, MessageType, RoomType } from '../generated/catalogue.ts';
import type { Id } from './envelope.ts';

/** A message as Django's serialiser has it, and what the tier knows besides. */
export interface ChatMessage {
  id: number;
  room: Id;
  /** `null`: the tier itself. */
  sender: Id | null;
  sender_name: string;
  sender_email: string;
  sender_photo: string | null;
  message_type: MessageType;
  /** Empty when it was deleted. */
  content: string;
  image_url: string | null;
  file_url: string | null;
  is_read: boolean;
  read_at: string | null;
  created_at: string;
  /** Its place in the room; 0 while it is held. */
  sequence: number;
  /** The room's sequence when it changed last. */
  changed: number;
  client_id: string;
  edited_at: string | null;
  deleted_at: string | null;
  attachment?: { url: string; content_type: string; bytes: number };
  /** Waits for somebody to decide; only its sender knows of it. */
  held?: boolean;
}

export interface ChatMember {
  user: Id;
  role: MemberRole;
  name: string;
  photo: string | null;
}

export interface ChatRoomState {
  room: Id;
  room_type: RoomType;
  order: Id | null;
  is_active: boolean;
  closes_at: string | null;
  participants: ChatMember[];
  sequence: number;
}

export interface ChatRead {
  room: Id;
  user_id: Id;
  sequence: number;
  read_at: string;
}

export interface DeskRoom {
  room: Id;
  order: Id | null;
  waiting_since: string | null;
  agent: ChatMember | null;
}

export interface Typing {
  user_id: Id;
  user_name: string;
  is_typing: boolean;
}

export interface ChatPayloads {
  chat_message: ChatMessage;
  chat_message_edited: ChatMessage;
  chat_message_deleted: ChatMessage;
  chat_room: ChatRoomState;
  chat_read: ChatRead;
  /** On the wire its fields stand beside its type; here they are `data`, as everywhere. */
  typing: Typing;
  chat_waiting: DeskRoom;
  chat_assigned: DeskRoom;
}
