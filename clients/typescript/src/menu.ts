// Menus: what a restaurant has now. An item that is not named is available at its usual price.

import type { Frame } from './events.ts';
import type { MenuItemChange, MenuItemState, MenuSnapshot } from './payloads/menus.ts';
import type { Realtime } from './realtime.ts';
import type { Watch } from './watch.ts';

export interface MenuItem extends MenuItemState {
  version: number;
  removed: boolean;
}

export interface MenuView {
  restaurantId: string;
  /** The newest that was told. */
  version: number;
  /** Items that differ from the menu as REST gives it. */
  items: ReadonlyMap<string, MenuItem>;
  /** False: more items differ than are named; the rest is on its way. */
  complete: boolean;
  /** Grows when the structure changed: load the menu by REST. */
  structure: number;
  /** Of the snapshot: what items have that are not named. */
  base: number;
}

/** A menu with what an event says. A change that is not newer than what is held of its item changes nothing. */
export const reduceMenu =
  (restaurantId: string) =>
  (held: MenuView | undefined, { type, data }: Frame): MenuView | undefined => {
    if (type === 'menu_snapshot') {
      const { menu_version, items, complete } = data as MenuSnapshot;
      if (held && menu_version < held.base) return held;
      const all = new Map<string, MenuItem>();
      for (const item of items)
        all.set(String(item.item_id), { ...item, version: menu_version, removed: false });
      // What came while this was on its way, or is not told again because it does not fit.
      for (const [id, item] of held?.items ?? []) {
        if (item.version > menu_version || (!complete && !all.has(id))) all.set(id, item);
      }
      const version = Math.max(held?.version ?? 0, menu_version);
      return {
        restaurantId,
        version,
        items: all,
        complete,
        structure: held?.structure ?? 0,
        base: menu_version,
      };
    }
    const view = held ?? {
      restaurantId,
      version: 0,
      items: new Map(),
      complete: true,
      structure: 0,
      base: -1,
    };
    if (type === 'menu_updated') return { ...view, structure: view.structure + 1 };
    if (type !== 'menu_item') return held;
    const { restaurant_id: _, menu_version, ...item } = data as MenuItemChange;
    const id = String(item.item_id);
    if (menu_version <= (view.items.get(id)?.version ?? view.base)) return held;
    const items = new Map(view.items).set(id, { ...item, version: menu_version });
    return { ...view, items, version: Math.max(view.version, menu_version) };
  };

/** Whether an item can be ordered. */
export const isAvailable = (menu: MenuView | undefined, itemId: number | string): boolean => {
  const item = menu?.items.get(String(itemId));
  return !item || (item.available && !item.removed);
};

/** `menu(realtime).watch(12)` */
export const menu = (realtime: Realtime) => ({
  watch(restaurantId: number | string): Watch<MenuView> {
    const reduce = reduceMenu(String(restaurantId));
    let isFirst = true;
    return realtime.watch<MenuView>({
      channel: `menu:${restaurantId}`,
      reduce,
      async load({ fresh, snapshot }) {
        // What was missed is not known: the structure may have changed, too.
        const step = fresh && !isFirst ? 1 : 0;
        isFirst = false;
        const isWhole = (snapshot?.data as MenuSnapshot | undefined)?.complete !== false;
        const data = isWhole ? undefined : await realtime.call('menus.get', { restaurant_id: restaurantId });
        return (held) => {
          const view = data ? reduce(held, { type: 'menu_snapshot', data }) : held;
          return view && step ? { ...view, structure: view.structure + step } : view;
        };
      },
    });
  },
});
