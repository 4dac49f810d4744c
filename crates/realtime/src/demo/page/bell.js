// The bell: how many notifications are unread, and the newest of them.
const BELL_MAX = 20;

class Bell {
  constructor(feed) {
    Object.assign(this, {feed, all: new Map(), unread: 0, isOpen: false});
    feed.onOpen = () => feed.say({type: 'list_notifications', limit: BELL_MAX, id: 'bell'});
    feed.onSaid = (frame) => { if (frame.type === 'list_notifications_result') this.list(frame.data); };
    byId('bell').onclick = () => this.open(!this.isOpen);
    byId('inbox-clear').onclick = () => feed.say({type: 'clear_notifications'});
    document.addEventListener('keydown', (event) => { if (event.key === 'Escape') this.open(false); });
    document.addEventListener('click', (event) => { if (!event.target.closest('#bell, #inbox')) this.open(false); });
    this.draw();
  }
  list({notifications, unread_count}) {
    this.all = new Map(notifications.map((one) => [one.id, one]));
    this.count(unread_count);
  }
  // What a frame of the customer's feed says of the inbox; false if it says nothing.
  take({type, data}) {
    if (type === 'notification') {
      for (const id of data.replaces || []) this.all.delete(id);
      this.all.set(data.id, data);
      byId('bell').classList.remove('rings'); void byId('bell').offsetWidth; byId('bell').classList.add('rings');
    } else if (type === 'notification_read') {
      for (const one of this.all.values()) if (data.ids.includes(one.id) || one.sequence <= data.up_to) one.is_read = true;
    } else if (type === 'notification_cleared') {
      for (const one of [...this.all.values()]) if (one.is_read && one.sequence <= data.up_to) this.all.delete(one.id);
    } else return false;
    this.count(data.unread_count);
    return true;
  }
  count(unread) { this.unread = unread; this.draw(); }
  open(isOpen) {
    if (isOpen === this.isOpen) return;
    this.isOpen = isOpen;
    byId('inbox').hidden = !isOpen;
    byId('bell').setAttribute('aria-expanded', String(isOpen));
    if (isOpen && this.unread) this.feed.say({type: 'mark_notifications_read', all: true});
  }
  draw() {
    byId('bell-count').textContent = this.unread > 99 ? '99+' : String(this.unread);
    byId('bell-count').hidden = this.unread === 0;
    byId('bell').setAttribute('aria-label', `Notifications, ${this.unread} unread`);
    const newest = [...this.all.values()].sort((a, b) => b.sequence - a.sequence).slice(0, BELL_MAX);
    byId('inbox-list').replaceChildren(...(newest.length ? newest : [null]).map((one) => {
      if (!one) return element('li', 'empty', 'Nothing yet.');
      const item = element('li', one.is_read ? '' : 'unread');
      item.append(element('b', '', one.title), element('time', '', one.created_at.slice(11, 16)), element('span', '', one.message));
      return item;
    }));
  }
}
