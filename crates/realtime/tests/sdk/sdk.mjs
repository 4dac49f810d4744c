// Drives the official JavaScript SDK for tests: a command per line in; answers and events, a line each, out.
//
// Knows nothing of what is tested. Payloads are JSON on both sides, whatever the connection's encoding is.
// Usage: node sdk.mjs FOLDER, where FOLDER holds node_modules.

import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';

const require = createRequire(`${process.argv[2]}/`);
const { EventSource } = require('eventsource');
const WebSocket = require('ws');
const json = require('centrifuge');
const protobuf = require('centrifuge/build/protobuf');

const clients = new Map();
const asked = new Map();
let asks = 0;

const tell = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);

/** Payloads of one client, as its encoding wants them. */
function payloads(isProtobuf) {
  if (!isProtobuf) return { write: (data) => data, read: (data) => data };
  const [encoder, decoder] = [new TextEncoder(), new TextDecoder()];
  return {
    write: (data) => encoder.encode(JSON.stringify(data)),
    read: (data) => (data?.length ? JSON.parse(decoder.decode(data)) : undefined),
  };
}

function ask(client, channel) {
  const number = ++asks;
  tell({ client, event: 'asked', ask: number, channel });
  return new Promise((resolve, reject) => asked.set(number, { resolve, reject }));
}

/** What the SDK says with an event, as both drivers tell it. */
function shown(read, context) {
  const { client, error, info, streamPosition, newState, oldState, ...rest } = context;
  if (client) rest.client_id = client;
  if ('data' in rest) rest.data = read(rest.data);
  if (info) rest.info = person(read, info);
  if (streamPosition) Object.assign(rest, streamPosition);
  if (error) Object.assign(rest, { code: error.code, message: error.message });
  return rest;
}

const person = (read, { client, user, connInfo }) => ({ client, user, info: read(connInfo) ?? null });

const ON_CLIENT = ['connecting', 'connected', 'disconnected', 'error', 'message'];
const ON_CHANNEL = ['subscribing', 'subscribed', 'unsubscribed', 'publication', 'join', 'leave', 'error'];

const commands = {
  ready: () => {},
  new({ client: name, endpoint, protobuf: isProtobuf, asks: asksForTokens, options }) {
    const { Centrifuge } = isProtobuf ? protobuf : json;
    const settings = { websocket: WebSocket, eventsource: EventSource, ...options };
    if (asksForTokens) settings.getToken = () => ask(name);
    const client = new Centrifuge(endpoint, settings);
    const { read, write } = payloads(isProtobuf);
    clients.set(name, { name, client, read, write, UnauthorizedError: Centrifuge.UnauthorizedError });
    for (const event of ON_CLIENT) {
      client.on(event, (context) => tell({ client: name, event, ...shown(read, context) }));
    }
    for (const event of ON_CHANNEL.filter((event) => event !== 'error')) {
      client.on(event, (context) => tell({ client: name, event, server: true, ...shown(read, context) }));
    }
  },
  connect: ({ client }) => client.connect(),
  disconnect: ({ client }) => client.disconnect(),
  token: ({ client }, { token }) => client.setToken(token),
  give({ UnauthorizedError }, { ask: number, token }) {
    const { resolve, reject } = asked.get(number);
    if (token === null) reject(new UnauthorizedError('no token for you'));
    else resolve(token);
  },
  subscribe({ name, client, read }, { channels, asks: asksForTokens, options }) {
    client.startBatching();
    for (const channel of channels) {
      const settings = { ...options };
      if (asksForTokens) settings.getToken = () => ask(name, channel);
      const subscription = client.newSubscription(channel, settings);
      for (const event of ON_CHANNEL) {
        subscription.on(event, (context) => tell({ client: name, event, channel, ...shown(read, context) }));
      }
      subscription.subscribe();
    }
    client.stopBatching();
  },
  resubscribe: ({ client }, { channel }) => client.getSubscription(channel).subscribe(),
  unsubscribe: ({ client }, { channel }) => client.getSubscription(channel).unsubscribe(),
  async history({ client, read }, { channel, options }) {
    const { publications, offset, epoch } = await client.history(channel, options);
    return { offset, epoch, publications: publications.map((own) => ({ offset: own.offset, data: read(own.data) })) };
  },
  async presence({ client, read }, { channel }) {
    const people = Object.values((await client.presence(channel)).clients);
    return people.map((own) => person(read, own));
  },
  async presence_stats({ client }, { channel }) {
    const { numClients, numUsers } = await client.presenceStats(channel);
    return { clients: numClients, users: numUsers };
  },
  publish: async ({ client, write }, { channel, data }) => void (await client.publish(channel, write(data))),
  rpc: async ({ client, read, write }, { method, data }) => read((await client.rpc(method, write(data))).data),
  send: async ({ client, write }, { data }) => void (await client.send(write(data))),
};

async function run(line) {
  const { id, do: name, client: owner, ...rest } = JSON.parse(line);
  try {
    const done = name === 'new' ? commands.new({ client: owner, ...rest }) : commands[name](clients.get(owner), rest);
    tell({ id, ok: (await done) ?? null });
  } catch (error) {
    tell({ id, error: { code: error?.code ?? 0, message: String(error?.message ?? error) } });
  }
}

const lines = createInterface({ input: process.stdin });
lines.on('line', run);
lines.on('close', () => process.exit(0));
