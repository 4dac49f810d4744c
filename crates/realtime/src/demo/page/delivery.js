// The customer's view: their own delivery, from what their socket says, and nothing else.
const PHASES = {
  TO_PICKUP: (rider, from) => `${rider} is riding to ${from}`,
  AT_PICKUP: (rider, from) => `${rider} is picking up your order at ${from}`,
  TO_CUSTOMER: (rider) => `${rider} is on the way to you`,
  ARRIVING: (rider) => `${rider} is almost there`,
  ARRIVED: (rider) => `${rider} is at your door`,
};
const LEGS = ['TO_PICKUP', 'AT_PICKUP', 'TO_CUSTOMER', 'ARRIVED'];
const COOKING = {PENDING: 'Your order is placed', ACCEPTED: 'The kitchen has accepted your order', PREPARING: 'Your order is in the kitchen', READY: 'Ready: looking for a rider', ASSIGNED: 'A rider is on the way to the restaurant'};
const DELIVERED_SHOWN = 9000, RAW_MAX = 160;

class Delivery {
  constructor(configuration) {
    Object.assign(this, {configuration, order: null, position: null, gliding: new Gliding(), raw: [], line: [], total: 0, over: null, isCut: false, isMeasured: true});
    this.names = new Map(configuration.riders.map(({id, name}) => [String(id), name]));
  }
  // An order of the customer, as it is now.
  takeOrder(order) {
    if (order.order_type !== 'DELIVERY') return;
    const is_end = ['DELIVERED', 'CANCELLED', 'REFUNDED'].includes(order.status);
    if (this.order && order.id !== this.order.id && (is_end || (!this.over && order.id < this.order.id))) return;
    if (!this.order && is_end) return;
    if (!this.order || order.id !== this.order.id) this.begin(order);
    this.order = {...order, delivery_address: order.delivery_address || this.order.delivery_address};
    this.over = is_end ? {at: performance.now(), status: order.status} : null;
    this.tell();
  }
  begin(order) { Object.assign(this, {order, position: null, gliding: new Gliding(), raw: [], line: [], total: 0, over: null}); }
  // A position; the order it belongs to may have begun before this page did.
  takePosition(payload, orders, onUnknown) {
    if (!this.order || String(this.order.id) !== String(payload.order_id)) {
      const known = orders.get(payload.order_id);
      if (known) this.takeOrder(known); else onUnknown(payload.order_id);
      if (!this.order || String(this.order.id) !== String(payload.order_id)) return;
    }
    if (this.over) return;
    const before = this.position;
    this.position = payload;
    this.positionAt = performance.now();
    if (payload.location) this.gliding.add(payload.location, payload.timestamp, payload.age_seconds, payload.moving ?? payload.location.speed > 0.5);
    if (payload.route && (!before || payload.route !== before.route)) {
      this.line = decoded(payload.route);
      if (!before || LEGS.indexOf(before.phase) !== LEGS.indexOf(payload.phase)) this.total = lengthOf(this.line);
    }
    if (!payload.route) this.line = [];
    this.tell();
  }
  // What the phone measured, for whoever may see it.
  takeMeasured({delivery_id, fixes}) {
    if (!this.order || String(delivery_id) !== String(this.order.id)) return;
    for (const [latitude, longitude] of fixes) this.raw.push(plane(latitude, longitude));
    this.raw.splice(0, this.raw.length - RAW_MAX);
  }
  get rider() {
    const id = this.position ? this.position.rider_id : this.order && this.order.courier && this.order.courier.id;
    return this.names.get(String(id)) || 'Your rider';
  }
  get door() { const at = this.order && this.order.delivery_address; return at ? plane(at.latitude, at.longitude) : null; }
  get kitchen() { const at = this.order && this.order.restaurant; return at && at.latitude ? plane(at.latitude, at.longitude) : null; }
  get isRiding() { return Boolean(this.position && !this.over); }

  tell() {
    const {order, position, over} = this, text = (id, words) => { if (byId(id).textContent !== words) byId(id).textContent = words; };
    if (!order) return;
    text('delivery-number', `${order.order_number} · ${(order.items || []).map(({name}) => name).join(', ')}`);
    text('from', `${order.restaurant.name}`);
    text('to', order.delivery_address ? order.delivery_address.address : '–');
    const phase = position && PHASES[position.phase];
    text('headline', over ? (over.status === 'DELIVERED' ? 'Delivered. Enjoy your meal!' : 'The order was cancelled')
      : phase ? phase(this.rider, order.restaurant.name) : COOKING[order.status] || 'Your order is on its way');
    const minutes = !over && position ? position.eta_minutes : null;
    byId('eta').hidden = minutes === null || minutes === undefined;
    if (minutes !== null && minutes !== undefined) {
      text('eta-minutes', String(minutes));
      const range = position.eta_range;
      text('eta-range', range && range.from !== range.to ? `between ${range.from} and ${range.to}` : '');
    }
    this.tellLegs();
  }
  tellLegs() {
    const {order, position, over} = this, bars = byId('legs').children;
    let leg = position ? LEGS.indexOf(position.phase === 'ARRIVING' ? 'TO_CUSTOMER' : position.phase) : -1, share = 0;
    if (over && over.status === 'DELIVERED') leg = LEGS.length;
    if (position && this.line.length && this.total > 0) share = clamp(1 - lengthOf(this.line) / this.total, 0.04, 0.98);
    [...bars].forEach((bar, index) => bar.style.setProperty('--done', !order ? 0 : index < leg ? 1 : index > leg ? 0 : leg === 1 || leg === 3 ? 0.6 : share));
  }
  tellAge(now) {
    const words = !this.isRiding ? '' : this.isCut ? `not connected · seen ${aged(this.gliding.age(now))}`
      : `seen ${aged(this.gliding.age(now))}${this.gliding.newest && this.gliding.newest.moving ? ' · ' + paced(this.gliding.newest.speed) : ''}`;
    if (byId('age').textContent !== words) byId('age').textContent = words;
    byId('delivery-card').classList.toggle('is-silent', this.isRiding && (this.isCut || this.gliding.age(now) > STALE_SECONDS));
    if (this.over && now - this.over.at > DELIVERED_SHOWN && this.over.status) { this.over.status = ''; this.isDone = true; }
  }
  // What has to be seen: the rider, and where they go.
  box() {
    const places = [], here = this.gliding.at(performance.now());
    if (this.kitchen && (!this.position || !['TO_CUSTOMER', 'ARRIVING', 'ARRIVED'].includes(this.position.phase))) places.push(this.kitchen);
    if (this.door) places.push(this.door);
    if (here && this.isRiding) places.push([here.x, here.y], ...this.line);
    if (!places.length) return null;
    const xs = places.map(([x]) => x), ys = places.map(([, y]) => y), least = 170;
    const box = [Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys)];
    const grow = (low, high) => { const lack = Math.max(0, least - (box[high] - box[low])) / 2; box[low] -= lack; box[high] += lack; };
    grow(0, 2); grow(1, 3);
    return box;
  }
  draw(context, sheet, now) {
    const {ink} = sheet, pixels = (points) => points.map((point) => sheet.screen(point));
    for (const {place} of this.configuration.kitchens) drawKitchen(context, ink, sheet.screen(plane(...place)), false);
    const here = this.isRiding && this.gliding.at(now);
    if (here) {
      const at = [here.x, here.y], presence = this.isCut ? 0.4 : this.gliding.presence(now);
      if (this.isMeasured) {
        context.fillStyle = ink.rider;
        this.raw.forEach((point, index) => {
          const [x, y] = sheet.screen(point);
          context.globalAlpha = 0.1 + 0.38 * (index + 1) / this.raw.length;
          context.beginPath(); context.arc(x, y, 2.6, 0, 7); context.fill();
        });
      }
      context.globalAlpha = 0.85;
      stroke(context, pixels(this.gliding.trail(now)), ink.card, 5);
      stroke(context, pixels(this.gliding.trail(now)), ink.rider, 2.6);
      context.globalAlpha = presence;
      const way = pixels(ahead(this.line, at));
      stroke(context, way, ink.card, 8.5);
      stroke(context, way, ink.accent, 5);
      context.globalAlpha = 1;
      if (this.kitchen) drawKitchen(context, ink, sheet.screen(this.kitchen), true);
      if (this.door) drawDoor(context, ink, sheet.screen(this.door));
      const pixel = sheet.screen(at);
      if (here.accuracy && presence > 0.5) {
        context.globalAlpha = 0.13; context.fillStyle = ink.accent;
        context.beginPath(); context.arc(...pixel, Math.max(14, here.accuracy * sheet.view.scale * 1.6), 0, 7); context.fill();
      }
      context.globalAlpha = presence;
      drawRider(context, ink, pixel, here, this.gliding.age(now) > STALE_SECONDS ? ink.dim : ink.accent, 11);
      context.globalAlpha = 1;
      if (this.gliding.age(now) > 8) drawText(context, ink, aged(this.gliding.age(now)), pixel[0], pixel[1] + 24, {colour: ink.dim});
    } else {
      if (this.kitchen) drawKitchen(context, ink, sheet.screen(this.kitchen), true);
      if (this.door) drawDoor(context, ink, sheet.screen(this.door));
    }
    if (this.kitchen) { const [x, y] = sheet.screen(this.kitchen); drawText(context, ink, this.order.restaurant.name, x, y + 19); }
    if (this.door) { const [x, y] = sheet.screen(this.door); drawText(context, ink, this.order.delivery_address.address, x, y + 11); }
  }
}
