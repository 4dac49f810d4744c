// Puts it together: whose view the map shows, and what each socket says.
const configuration = JSON.parse(byId('configuration').textContent);
const sheet = new Sheet(byId('map'), byId('ground-canvas'), JSON.parse(byId('ground').textContent));
const orders = new Orders(), delivery = new Delivery(configuration), operations = new Operations(configuration);
const {customer, restaurant} = configuration, asked = new Set();
const talk = new Talk(customer);
let view = 'customer', bell = null;

const customerFeed = new Feed(`/ws/customer/${customer.id}/`, customer.token, (state) => {
  show('customer-state', state);
  delivery.isCut = state !== 'live';
}, (frame, healed) => {
  const payload = frame.data && frame.data.payload;
  if (bell && bell.take(frame)) { orders.isNew(frame, healed); return; }
  // A position replaces the one before: it is no part of what is kept and healed.
  if (frame.type === 'rider_location') {
    if (payload) delivery.takePosition(payload, orders.all, (id) => {
      if (asked.has(id)) return;
      asked.add(id);
      orderNow(id, customer.token, (order) => { if (order && order.id && !orders.all.has(order.id)) delivery.takeOrder(orders.take(order)); });
    });
    return;
  }
  if (!orders.isNew(frame, healed) || !payload || !payload.id || !payload.status || !payload.items) return;
  const order = orders.take(payload);
  if (order) delivery.takeOrder(order);
});
bell = new Bell(customerFeed);
byId('customer-cut').onclick = () => { customerFeed.cut(5000); if (talk.feed) talk.feed.cut(5000); };

new Feed(`/ws/orders/${restaurant.id}/`, restaurant.token, (state) => show('restaurant-state', state), (frame) => {
  if (frame.type !== 'rider_location') logLine(frame);
});

operations.onMeasured = (payload) => delivery.takeMeasured(payload);
operations.isOwn = (id) => delivery.order && !delivery.over && String(delivery.order.id) === String(id);
byId('measured').onchange = (event) => { delivery.isMeasured = event.target.checked; };

sheet.onFree = (isFree) => { byId('recentre').hidden = !isFree; };
byId('zoom-in').onclick = () => sheet.zoom(1.4);
byId('zoom-out').onclick = () => sheet.zoom(1 / 1.4);
byId('recentre').onclick = () => sheet.recentre();
for (const button of document.querySelectorAll('.views button')) {
  button.onclick = () => {
    view = document.body.dataset.view = button.dataset.view;
    for (const other of document.querySelectorAll('.views button')) other.setAttribute('aria-pressed', String(other === button));
    sheet.recentre();
    look(true);
  };
}

// Where the map looks: past the panel that lies on it.
function look(force = false) {
  const panel = document.querySelector('.panel'), lies = getComputedStyle(panel).position === 'absolute' && sheet.width > 700;
  sheet.padding = lies ? [64, 104, 48, panel.offsetLeft + panel.offsetWidth + 44] : [56, 96, 88, 52];
  const [west, north, east, south] = sheet.frame;
  const box = (view === 'customer' && delivery.box()) || [west + EDGE, north + EDGE, east - EDGE, south - EDGE];
  sheet.follow(box, force);
}

let before = performance.now(), lookedAt = 0;
function frame(now) {
  if (now - lookedAt > 400) {
    lookedAt = now;
    look();
    delivery.tellAge(now);
    if (delivery.isRiding) talk.follow(delivery.order, delivery.rider);
    if (sheet.view) {
      // The customer's view reads no more than its own delivery.
      const within = (side, index) => index < 2 ? Math.max(side, sheet.visible[index]) : Math.min(side, sheet.visible[index]);
      operations.watch(view === 'operations' ? sheet.frame.map(within) : null);
    }
  }
  sheet.frameAt(now - before, (context) => (view === 'customer' ? delivery : operations).draw(context, sheet, now));
  before = now;
  requestAnimationFrame(frame);
}
requestAnimationFrame(frame);
