// Payloads of menus. Source of truth: `crates/menus/src/rules/payload.rs`.

import type { Id, Published } from './envelope.ts';

export interface MenuItemState {
  item_id: Id;
  available: boolean;
  /** When a sold-out item comes back by itself. */
  until: string | null;
  /** `null`: the usual price. */
  price: string | null;
}

/** Items that are not listed are available at their usual price. */
export interface MenuSnapshot {
  restaurant_id: Id;
  menu_version: number;
  /** False: more items differ than fit one frame; ask `menus.get` for all of them. */
  complete: boolean;
  /** Unavailable ones first. */
  items: MenuItemState[];
}

export interface MenuItemChange extends MenuItemState {
  restaurant_id: Id;
  menu_version: number;
  removed: boolean;
}

export interface MenusPayloads {
  menu_snapshot: MenuSnapshot;
  menu_item: MenuItemChange;
  /** The structure changed: load the menu by REST. */
  menu_updated: Published;
  item_sold_out: Published<{ item_id?: Id }>;
  inventory_low: Published;
  inventory_restocked: Published;
}
