// The chat with whoever brings the order: one room at a time, healed as every feed is.
const TALK_MAX = 60, TYPING_PAUSE = 2500;

class Talk {
  constructor(customer) {
    Object.assign(this, {customer, room: null, feed: null, messages: new Map(), unsent: [], typedAt: 0, rider: ''});
    byId('talk-form').onsubmit = (event) => { event.preventDefault(); this.send(byId('talk-words')); };
    byId('talk-words').oninput = () => this.type();
  }
  // The order that is brought now; its room is there once somebody brings it.
  follow(order, rider) {
    if (!order || String(order.id) === this.room) return;
    if (this.feed) this.feed.end();
    Object.assign(this, {room: String(order.id), rider, messages: new Map(), unsent: []});
    byId('talk-title').textContent = `Chat with ${rider}`;
    byId('talk-words').disabled = false;
    byId('talk-words').placeholder = `Write to ${rider}`;
    this.typing(false);
    this.draw();
    this.feed = new Feed(`/ws/chat/${order.id}/`, this.customer.token, (state) => show('talk-state', state), (frame) => this.take(frame));
    this.feed.onOpen = () => {
      this.feed.say({type: 'history', limit: TALK_MAX, id: 'history'});
      // What was said while the socket was away; a repeat is the same message.
      for (const message of this.unsent) this.feed.say(message);
    };
    this.feed.onSaid = (frame) => this.hear(frame);
  }
  take({type, data}) {
    if (type === 'chat_message' || type === 'chat_message_edited' || type === 'chat_message_deleted') this.keep(data);
    if (type === 'chat_room' && data && !data.is_active) this.close();
  }
  hear(frame) {
    if (frame.type === 'typing' && String(frame.user_id) !== this.customer.id) this.typing(frame.is_typing);
    if (frame.type === 'history_result') for (const message of frame.data.messages) this.keep(message, false);
    if (frame.type === 'error') byId('talk-note').textContent = frame.message;
    this.draw();
  }
  keep(message, redraw = true) {
    const before = this.messages.get(message.id);
    if (before && before.changed >= message.changed) return;
    this.messages.set(message.id, message);
    this.unsent = this.unsent.filter(({client_id}) => client_id !== message.client_id);
    if (String(message.sender) !== this.customer.id) this.typing(false);
    if (this.feed) this.feed.say({type: 'mark_read', sequence: message.sequence});
    if (redraw) this.draw();
  }
  send(field) {
    const content = field.value.trim();
    if (!content || !this.feed) return;
    const message = {type: 'send_message', content, message_type: 'TEXT', client_id: crypto.randomUUID ? crypto.randomUUID() : `c-${Date.now()}`};
    this.unsent.push(message);
    this.feed.say(message);
    field.value = '';
    byId('talk-note').textContent = '';
    this.draw();
  }
  type() {
    const now = Date.now();
    if (!this.feed || now - this.typedAt < TYPING_PAUSE) return;
    this.typedAt = now;
    this.feed.say({type: 'typing', is_typing: true});
  }
  typing(is_typing) { byId('talk-typing').textContent = is_typing ? `${this.rider} is typing …` : ''; }
  close() { byId('talk-words').disabled = true; byId('talk-words').placeholder = 'This chat is closed'; }
  draw() {
    const list = byId('talk-list'), all = [...this.messages.values()].sort((a, b) => a.sequence - b.sequence).slice(-TALK_MAX);
    const bubble = (words, own, note) => {
      const item = element('li', own ? 'own' : '');
      item.append(element('span', '', words));
      if (note) item.append(element('small', '', note));
      return item;
    };
    const said = all.map((message) => {
      const own = String(message.sender) === this.customer.id;
      return bubble(message.deleted_at ? 'deleted' : message.content, own, own ? (message.is_read ? 'read' : '') : message.created_at.slice(11, 16));
    });
    said.push(...this.unsent.map(({content}) => bubble(content, true, 'sending …')));
    list.replaceChildren(...(said.length ? said : [element('li', 'empty', this.room ? 'Say hello.' : 'Once a rider brings your order, you can write to them.')]));
    list.scrollTop = list.scrollHeight;
  }
}
