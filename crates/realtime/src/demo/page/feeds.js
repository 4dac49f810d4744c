// Connections. `Feed` is one of PlatePal's sockets and reconnects as PlatePal's frontends do: 1 s, 2 s, 4 s ... 30 s, with
// the last event_id. `Channels` is many channels over one connection, in Centrifuge's protocol.
const socketAddress = (path, query = {}) => {
  const url = new URL(path, location.href);
  url.protocol = url.protocol.replace('http', 'ws');
  for (const [name, value] of Object.entries(query)) if (value) url.searchParams.set(name, value);
  return url;
};
const backoff = (attempts) => Math.min(30000, 1000 * 2 ** attempts);

class Feed {
  constructor(path, token, onState, onFrame) {
    Object.assign(this, {path, token, onState, onFrame, attempts: 0, last: null, cutUntil: 0});
    this.open();
  }
  open() {
    const resumed = Boolean(this.last), openedAt = Date.now();
    const socket = this.socket = new WebSocket(socketAddress(this.path, {token: this.token, since_event_id: this.last}));
    socket.onopen = () => { this.attempts = 0; this.onState('live'); if (this.onOpen) this.onOpen(); };
    socket.onmessage = (message) => {
      const frame = JSON.parse(message.data);
      // Answers, and what only passes.
      if (!frame.event_id) { if (this.onSaid) this.onSaid(frame); return; }
      this.last = frame.event_id;
      this.onFrame(frame, resumed && Date.parse(frame.timestamp) < openedAt);
    };
    socket.onclose = (close) => {
      if (this.isOver) return;
      const cut = this.cutUntil - Date.now();
      this.onState(cut > 0 ? 'offline' : close.reason || 'reconnecting');
      setTimeout(() => this.open(), cut > 0 ? cut : backoff(this.attempts++));
    };
  }
  say(message) {
    if (this.socket.readyState !== WebSocket.OPEN) return false;
    this.socket.send(JSON.stringify(message));
    return true;
  }
  end() { this.isOver = true; this.socket.close(); }
  cut(milliseconds) { this.cutUntil = Date.now() + milliseconds; this.socket.close(); }
}

// The state of an order, once.
function orderNow(id, token, onOrder) {
  const socket = new WebSocket(socketAddress(`/ws/order/${id}`, {token}));
  socket.onmessage = (message) => {
    const {data} = JSON.parse(message.data);
    socket.close();
    onOrder((data && data.payload) || data);
  };
}

class Channels {
  constructor(token, onState, onFrame) {
    Object.assign(this, {token, onState, onFrame, attempts: 0, wanted: new Set(), next: 2});
    this.open();
  }
  open() {
    const socket = this.socket = new WebSocket(socketAddress('/connection/websocket'));
    this.isConnected = false;
    socket.onopen = () => this.say({id: 1, connect: {token: this.token, name: 'demo'}});
    socket.onmessage = (message) => message.data.split('\n').filter(Boolean).map(JSON.parse).forEach((reply) => this.take(reply));
    socket.onclose = () => { this.onState('reconnecting'); setTimeout(() => this.open(), backoff(this.attempts++)); };
  }
  say(command) { this.socket.send(JSON.stringify(command)); }
  take(reply) {
    if (reply.connect) {
      this.attempts = 0; this.isConnected = true; this.onState('live');
      // What was told before; asked first, so that it is answered first.
      this.say({id: this.next++, history: {channel: 'admin', limit: 300, reverse: true}});
      for (const channel of this.wanted) this.ask('subscribe', channel);
    } else if (reply.history) {
      for (const {data} of (reply.history.publications || []).reverse()) this.onFrame('admin', data);
    } else if (!Object.keys(reply).length) this.say({}); // a ping
    else if (reply.push && reply.push.pub) this.onFrame(reply.push.channel, reply.push.pub.data);
  }
  ask(what, channel) { if (this.isConnected) this.say({id: this.next++, [what]: {channel}}); }
  // These channels, and no others.
  want(channels) {
    for (const channel of this.wanted) if (!channels.has(channel)) this.ask('unsubscribe', channel);
    for (const channel of channels) if (!this.wanted.has(channel)) this.ask('subscribe', channel);
    this.wanted = new Set(channels);
  }
}
