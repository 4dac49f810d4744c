// Writes src/generated/catalogue.ts: what the tier's own sources say of event types, channels and the words of enums.
//
// Read are the catalogue and the channels of the crate `events`, and the protos. `--check` writes nothing and fails when the
// file is not what would be written.

import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const ROOT = new URL('../../../', import.meta.url);
const FILE = fileURLToPath(new URL('../src/generated/catalogue.ts', import.meta.url));
const LINE = 110;

/** Enums that reach clients as words, and whether those are written in small letters. */
const ENUMS = {
  'orders.proto': { OrderStatus: false, OrderType: false },
  'tracking.proto': { DeliveryStatus: false, OfferStatus: false, Liveness: true, FixOutcome: true },
  'chat.proto': { RoomType: false, MemberRole: false, MessageType: false },
};
/** Messages that clients send as JSON, field by field. */
const MESSAGES = { 'tracking.proto': ['Fix'] };
/** How JSON has what a proto calls so. */
const JSON_TYPES = {
  string: 'string',
  bool: 'boolean',
  double: 'number',
  uint32: 'number',
  uint64: 'number',
};
/** Between the tier's own processes; no client can subscribe to what carries them. */
const INTERNAL = /^(edge|grant|outbox|session|token)\./;

const read = (path) => readFileSync(new URL(path, ROOT), 'utf8');
const fail = (why) => {
  console.error(`generate: ${why}`);
  process.exit(1);
};

function catalogue() {
  const source = read('crates/events/src/catalogue.rs');
  const owners = new Map([['None', undefined]]);
  for (const [, name, variant] of source.matchAll(
    /^const (\w+): Option<Domain> = Some\(Domain::(\w+)\);/gm,
  )) {
    const word = new RegExp(`Self::${variant} => "(\\w+)"`).exec(source)?.[1];
    owners.set(name, word ?? fail(`the domain ${variant} has no word`));
  }
  const entries = [...source.matchAll(/^\s+(log|latest)\("([a-z0-9_.]+)", (\w+)\),/gm)];
  return entries
    .filter(([, , name]) => !INTERNAL.test(name))
    .map(([, kind, name, owner]) => {
      if (!owners.has(owner)) fail(`${name} is owned by ${owner}, which is not known`);
      return { name, type: name.replaceAll('.', '_'), kind, owner: owners.get(owner) };
    });
}

function channels() {
  const source = read('crates/events/src/channel.rs');
  const body = (name) =>
    new RegExp(`pub fn ${name}\\(self\\)[^{]*{([^}]*)`).exec(source)?.[1] ?? fail(`no ${name}`);
  const words = new Map(
    [...body('word').matchAll(/Self::(\w+) => "(\w+)"/g)].map(([, kind, word]) => [kind, word]),
  );
  const named = (name) => new Set([...body(name).matchAll(/Self::(\w+)/g)].map(([, kind]) => kind));
  const [withoutId, withSnapshot] = [named('has_id'), named('has_snapshot')];
  const list = [...words].filter(([kind]) => kind !== 'Sessions');
  return {
    withId: list.filter(([kind]) => !withoutId.has(kind)).map(([, word]) => word),
    alone: list.filter(([kind]) => withoutId.has(kind)).map(([, word]) => word),
    withSnapshot: list.filter(([kind]) => withSnapshot.has(kind)).map(([, word]) => word),
  };
}

function* blocks(proto, kind) {
  const source = read(`proto/platepal/realtime/v1/${proto}`);
  for (const [, name, body] of source.matchAll(new RegExp(`^${kind} (\\w+) {\\n([^]*?)^}`, 'gm')))
    yield { name, body };
}

function enums() {
  return Object.entries(ENUMS).flatMap(([proto, wanted]) => {
    const found = [...blocks(proto, 'enum')].filter(({ name }) => name in wanted);
    if (found.length !== Object.keys(wanted).length)
      fail(`${proto} lacks one of ${Object.keys(wanted).join(', ')}`);
    return found.map(({ name, body }) => {
      const prefix = `${name.replace(/(?<=[a-z])(?=[A-Z])/g, '_').toUpperCase()}_`;
      const values = [...body.matchAll(/^ {2}(\w+) = (\d+);/gm)].filter(([, , number]) => number !== '0');
      const words = values.map(([, value]) => value.replace(prefix, ''));
      return { name, proto, words: wanted[name] ? words.map((word) => word.toLowerCase()) : words };
    });
  });
}

function messages() {
  return Object.entries(MESSAGES).flatMap(([proto, wanted]) =>
    wanted.map((wantedName) => {
      const message =
        [...blocks(proto, 'message')].find(({ name }) => name === wantedName) ?? fail(`no ${wantedName}`);
      const fields = [];
      let words = [];
      for (const line of message.body.split('\n').map((text) => text.trim())) {
        if (line.startsWith('//')) words.push(line.slice(2).trim());
        const [, optional, type, name] = /^(optional )?([\w.]+) (\w+) = \d+;/.exec(line) ?? [];
        if (!name) continue;
        const json = type === 'google.protobuf.Timestamp' ? 'string' : JSON_TYPES[type];
        const required = !optional && !words.join(' ').match(/without it|empty/i) && /itude$/.test(name);
        fields.push({ name, type: json ?? fail(`${wantedName}.${name} is a ${type}`), required, words });
        words = [];
      }
      return { name: wantedName, proto, fields };
    }),
  );
}

const union = (words) => (words.length ? words.map((word) => `'${word}'`).join(' | ') : 'never');
const declare = (name, words) => {
  const line = `export type ${name} = ${union(words)};`;
  return line.length <= LINE
    ? line
    : `export type ${name} =\n${words.map((word) => `  | '${word}'`).join('\n')};`;
};

function text() {
  const [types, kinds] = [catalogue(), channels()];
  if (types.length < 40) fail('the catalogue could not be read');
  const owned = [...new Set(types.map(({ owner }) => owner))];
  const byOwner = owned.map((owner) => {
    const name = `${owner ? owner[0].toUpperCase() + owner.slice(1) : 'Unowned'}EventType`;
    return { name, owner, types: types.filter((event) => event.owner === owner).map(({ type }) => type) };
  });
  const latest = types.filter(({ kind }) => kind === 'latest').map(({ type }) => type);
  const parts = [
    '// Generated by scripts/generate.mjs from the tier’s catalogue, channels and protos. Do not edit: `npm run generate`.',
    ...byOwner.map(({ name, owner, types: list }) => {
      const what = owner
        ? `Events of the domain ${owner}.`
        : 'Events that no domain owns: delivered as they are published.';
      return `/** ${what} */\n${declare(name, list)}`;
    }),
    `/** Every event that the catalogue has. Others are delivered as well. */\nexport type EventType = ${byOwner.map(({ name }) => name).join(' | ')};`,
    `/** Events of which only the newest of a key counts. */\n${declare('LatestEventType', latest)}`,
    `/** Channels whose name has an id: \`order:5012\`. */\n${declare('ChannelKind', kinds.withId)}`,
    `export type ChannelName = \`\${ChannelKind}:\${string}\` | ${union(kinds.alone)};`,
    `/** Kinds of channels that give a newcomer their state. */\nexport type SnapshotKind = ${union(kinds.withSnapshot)};`,
    ...enums().map(
      ({ name, proto, words }) =>
        `/** \`${name}\` of ${proto}, as it is written in JSON. */\n${declare(name, words)}`,
    ),
    ...messages().map(({ name, proto, fields }) => {
      const body = fields.flatMap((field) => [
        ...(field.words.length ? [`  /** ${field.words.join(' ')} */`] : []),
        `  ${field.name}${field.required ? '' : '?'}: ${field.type};`,
      ]);
      return `/** \`${name}\` of ${proto}, as JSON. Moments are RFC 3339. */\nexport interface ${name} {\n${body.join('\n')}\n}`;
    }),
  ];
  return `${parts.join('\n\n')}\n`;
}

const wanted = text();
if (process.argv.includes('--check')) {
  let held = '';
  try {
    held = readFileSync(FILE, 'utf8');
  } catch {}
  if (held !== wanted)
    fail('src/generated/catalogue.ts is not what the tier’s sources say; run `npm run generate`');
} else {
  writeFileSync(FILE, wanted);
}
