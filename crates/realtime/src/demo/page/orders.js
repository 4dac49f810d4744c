// The customer's orders, what healed, and the restaurant's screen.
const STEPS = {
  DELIVERY: ['PENDING', 'ACCEPTED', 'PREPARING', 'READY', 'ASSIGNED', 'PICKED_UP', 'OUT_FOR_DELIVERY', 'DELIVERED'],
  PICKUP: ['PENDING', 'ACCEPTED', 'PREPARING', 'READY', 'DELIVERED'],
};
const WORDS = {PENDING: 'placed', ACCEPTED: 'accepted', PREPARING: 'in the kitchen', READY: 'ready', ASSIGNED: 'rider assigned',
  PICKED_UP: 'picked up', OUT_FOR_DELIVERY: 'on its way', DELIVERED: 'delivered', CANCELLED: 'cancelled', REFUNDED: 'refunded'};
const COLLECTED = {READY: 'ready to collect', DELIVERED: 'collected'};
const ORDERS_MAX = 12, LOG_MAX = 100, IDS_MAX = 5000;
const byId = (id) => document.getElementById(id);
const element = (name, className, text) => {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
};
const show = (id, state) => { byId(id).dataset.state = state; byId(id).textContent = state; };

class Orders {
  constructor() { this.counts = {seen: 0, healed: 0, repeated: 0, backwards: 0}; this.ids = new Set(); this.all = new Map(); }
  count(name) { byId(name).textContent = ++this.counts[name]; }
  // Whether an event is seen for the first time.
  isNew(frame, healed) {
    if (this.ids.has(frame.event_id)) { this.count('repeated'); return false; }
    this.ids.add(frame.event_id);
    if (this.ids.size > IDS_MAX) this.ids.delete(this.ids.values().next().value);
    this.count('seen');
    if (healed) this.count('healed');
    return true;
  }
  // Takes an order as it is now; `undefined` if that is older than what is known.
  take(order) {
    const before = this.all.get(order.id);
    if (before && before.version >= order.version) { this.count('backwards'); return undefined; }
    const merged = {...order, delivery_address: order.delivery_address || (before && before.delivery_address)};
    this.all.set(order.id, merged);
    if (this.all.size > 4 * ORDERS_MAX) this.all.delete(this.all.keys().next().value);
    this.draw();
    return merged;
  }
  draw() {
    const newest = [...this.all.values()].sort((a, b) => b.id - a.id).slice(0, ORDERS_MAX);
    byId('orders').replaceChildren(...newest.map((order) => {
      const is_pickup = order.order_type === 'PICKUP', steps = STEPS[is_pickup ? 'PICKUP' : 'DELIVERY'], reached = steps.indexOf(order.status);
      const item = element('li', 'order' + (order.status === 'DELIVERED' ? ' done' : reached < 0 ? ' ended' : ''));
      const line = element('div');
      line.append(element('b', '', order.order_number || order.id), element('span', 'dish', (order.items || []).map((dish) => dish.name).join(', ')),
        element('span', 'now', (is_pickup && COLLECTED[order.status]) || WORDS[order.status] || order.status));
      const bars = element('div', 'steps');
      bars.setAttribute('aria-hidden', 'true');
      bars.append(...steps.map((_, step) => element('i', step <= reached ? 'on' : '')));
      item.append(line, bars);
      return item;
    }));
  }
}

function logLine(frame) {
  const {payload = {}} = frame.data || {}, line = element('li');
  const what = payload.order_number || (payload.delivery_id ? `PP-${payload.delivery_id}` : '');
  const more = frame.type === 'rider_location' ? ` in ${payload.eta_minutes ?? '–'} min` : '';
  line.append(element('time', '', frame.timestamp.slice(11, 19) + ' '), `${frame.type} ${what}${more}`);
  byId('log').prepend(line);
  while (byId('log').childElementCount > LOG_MAX) byId('log').lastElementChild.remove();
}
