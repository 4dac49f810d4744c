// Payloads of notifications. Source of truth: `crates/notifications/src/rules/payload.rs`.

export interface Notification {
  id: number;
  /** `ORDER_ACCEPTED` and its like; Django may have others. */
  type: string;
  title: string;
  message: string;
  data: Record<string, unknown> | null;
  is_read: boolean;
  read_at: string | null;
  created_at: string;
  category: string;
  priority: string;
  /** Its place in the inbox. */
  sequence: number;
}

export interface NotificationTold extends Notification {
  unread_count: number;
  /** Ids whose place it takes. */
  replaces?: number[];
}

export interface NotificationsRead {
  ids: number[];
  /** All up to and with this place, too. */
  up_to: number;
  unread_count: number;
  read_at: string;
}

export interface NotificationPreferences {
  muted?: Record<string, string[]>;
  /** Minutes since midnight; may span it. */
  quiet_hours?: { from: number; to: number } | null;
  time_zone?: string;
  language?: string;
  /** `snooze` sets it. */
  snoozed_until?: string | null;
}

export interface NotificationsPayloads {
  notification: NotificationTold;
  notification_read: NotificationsRead;
  notification_cleared: { up_to: number; unread_count: number };
}
