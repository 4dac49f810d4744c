// The operations view: every rider in the cells that the map shows, over one connection, as staff may see them.
const GONE_SECONDS = 600, TICKER_MAX = 4;

class Operations {
  constructor(configuration) {
    Object.assign(this, {configuration, riders: new Map(), deliveries: new Map(), orders: null});
    this.names = new Map(configuration.riders.map(({id, name}) => [String(id), name]));
    this.channels = new Channels(configuration.staff.token, (state) => show('operations-state', state), (channel, frame) => this.take(channel, frame));
    setInterval(() => this.list(), 1000);
  }
  onMeasured() {}
  name(id) { return this.names.get(String(id)) || `rider ${id}`; }
  // Reads the cells of a rectangle of the map, if there is one, and the operations feed.
  watch(box) {
    const wanted = (box ? [...cells(box, this.configuration.area_precision)] : []).map((cell) => `area:${cell}`);
    this.channels.want(new Set(['admin', ...wanted]));
    const seen = new Set(wanted);
    for (const [id, rider] of this.riders) if (!seen.has(rider.channel)) this.riders.delete(id);
  }
  take(channel, frame) {
    const payload = (frame.data && frame.data.payload) || frame.data || {};
    if (frame.type === 'demo_measured') return this.onMeasured(payload);
    if (channel === 'admin') return this.takeNews(frame.type, payload);
    const id = String(payload.rider_id), known = this.riders.get(id);
    if (frame.type === 'rider_left' && known && known.channel === channel) this.riders.delete(id);
    if (frame.type !== 'rider_location' || !payload.location) return;
    const rider = known || {gliding: new Gliding()};
    if (rider.gliding.newest && Date.parse(payload.timestamp) < rider.gliding.newest.written) return;
    rider.gliding.add(payload.location, payload.timestamp, payload.age_seconds, payload.moving);
    this.riders.set(id, Object.assign(rider, {id, channel, deliveries: payload.delivery_ids || []}));
  }
  takeNews(type, payload) {
    if (type.startsWith('delivery_') && payload.delivery_id !== undefined) {
      this.deliveries.set(String(payload.delivery_id), payload);
      if (this.deliveries.size > 200) this.deliveries.delete(this.deliveries.keys().next().value);
    }
    const words = {offer_accepted: 'took', offer_declined: 'declined', offer_expired: 'missed'}[type];
    if (!words) return;
    const line = element('li', words === 'declined' ? 'declined' : '', `${this.name(payload.rider_id)} ${words} PP-${payload.delivery_id}${payload.reason ? ': ' + payload.reason : ''}`);
    byId('ticker').prepend(line);
    while (byId('ticker').childElementCount > TICKER_MAX) byId('ticker').lastElementChild.remove();
  }
  what(rider) {
    const id = rider.deliveries[0], delivery = id === undefined ? null : this.deliveries.get(String(id));
    if (id === undefined) return 'free';
    if (!delivery) return `PP-${id}`;
    const has_order = ['PICKED_UP', 'IN_TRANSIT'].includes(delivery.status);
    return has_order ? `to ${delivery.dropoff_address || 'the customer'}` : delivery.status === 'ARRIVED_AT_PICKUP' ? `at ${delivery.restaurant_name || 'the restaurant'}` : `to ${delivery.restaurant_name || 'the restaurant'}`;
  }
  list() {
    const now = performance.now(), rows = [];
    for (const {id, name} of this.configuration.riders) {
      const rider = this.riders.get(String(id)), item = element('li'), age = rider ? rider.gliding.age(now) : Infinity;
      if (rider && age > GONE_SECONDS) continue;
      const is_own = rider && rider.deliveries.some((delivery) => this.isOwn(delivery));
      item.className = [is_own ? 'own' : '', rider && rider.deliveries.length ? 'busy' : '', age > STALE_SECONDS ? 'silent' : ''].join(' ');
      const newest = rider && rider.gliding.newest;
      item.append(element('i'), element('b', '', name), element('span', '', !rider ? '–' : age > 8 ? aged(age) : newest.moving ? paced(newest.speed) : 'stands'),
        element('small', '', rider ? this.what(rider) : 'not in sight'));
      rows.push(item);
    }
    byId('fleet').replaceChildren(...rows);
  }
  isOwn() { return false; }
  draw(context, sheet, now) {
    const {ink} = sheet;
    for (const {place, name} of this.configuration.kitchens) {
      const [x, y] = sheet.screen(plane(...place));
      drawKitchen(context, ink, [x, y], true);
      drawText(context, ink, name, x, y + 19, {font: '500 10.5px system-ui, sans-serif', colour: ink.dim});
    }
    const shown = [...this.riders.values()].map((rider) => ({rider, here: rider.gliding.at(now)})).filter(({here}) => here);
    for (const {rider} of shown) {
      context.globalAlpha = 0.3;
      stroke(context, rider.gliding.trail(now).slice(-26).map((point) => sheet.screen(point)), this.colour(rider, ink, now), 3);
    }
    for (const {rider, here} of shown.sort((a, b) => a.here.y - b.here.y)) {
      const pixel = sheet.screen([here.x, here.y]), age = rider.gliding.age(now);
      context.globalAlpha = rider.gliding.presence(now);
      drawRider(context, ink, pixel, here, this.colour(rider, ink, now), 9.5, !rider.deliveries.length);
      drawText(context, ink, this.name(rider.id) + (age > 8 ? ` · ${aged(age)}` : ''), pixel[0] + 15, pixel[1], {align: 'left'});
      context.globalAlpha = 1;
    }
  }
  colour(rider, ink, now) {
    if (rider.gliding.age(now) > STALE_SECONDS) return ink.dim;
    return rider.deliveries.some((delivery) => this.isOwn(delivery)) ? ink.accent : ink.rider;
  }
}
