// Which view an address shows, and the address of a view. Pure.

export type Route =
  | { view: 'overview' }
  | { view: 'channels'; pattern: string }
  | { view: 'channel'; name: string }
  | { view: 'event'; id: string; channel: string }
  | { view: 'users'; id: string }
  | { view: 'outbox' }
  | { view: 'settings'; find: string; changed: boolean }
  | { view: 'unknown'; path: string };

/** `hash` as a location has it. */
export function parseRoute(hash: string): Route {
  const [path = '', query = ''] = hash.replace(/^#?\/?/, '').split('?', 2);
  const asked = new URLSearchParams(query);
  const get = (name: string) => asked.get(name)?.trim() ?? '';
  const [view = '', ...rest] = path.split('/');
  const below = decoded(rest.join('/'));
  switch (view) {
    case '':
      return { view: 'overview' };
    case 'channels':
      return below ? { view: 'channel', name: below } : { view: 'channels', pattern: get('pattern') };
    case 'event':
      return { view: 'event', id: get('id'), channel: get('channel') };
    case 'users':
      return { view: 'users', id: below };
    case 'outbox':
      return { view: 'outbox' };
    case 'settings':
      return { view: 'settings', find: get('find'), changed: get('changed') === 'yes' };
    default:
      return { view: 'unknown', path };
  }
}

/** The address of a view, for links. */
export function href(route: Route): string {
  switch (route.view) {
    case 'overview':
      return '#/';
    case 'channels':
      return `#/channels${query({ pattern: route.pattern })}`;
    case 'channel':
      return `#/channels/${encodeURIComponent(route.name)}`;
    case 'event':
      return `#/event${query({ id: route.id, channel: route.channel })}`;
    case 'users':
      return route.id ? `#/users/${encodeURIComponent(route.id)}` : '#/users';
    case 'outbox':
      return '#/outbox';
    case 'settings':
      return `#/settings${query({ find: route.find, changed: route.changed ? 'yes' : '' })}`;
    case 'unknown':
      return `#/${route.path}`;
  }
}

export function titleOf(route: Route): string {
  switch (route.view) {
    case 'overview':
      return 'Overview';
    case 'channels':
      return 'Channels';
    case 'channel':
      return route.name;
    case 'event':
      return route.id ? `Event ${route.id}` : 'Event';
    case 'users':
      return route.id ? `User ${route.id}` : 'Users';
    case 'outbox':
      return 'Outbox';
    case 'settings':
      return 'Settings';
    case 'unknown':
      return 'Not found';
  }
}

function query(values: Record<string, string>): string {
  const given = new URLSearchParams(Object.entries(values).filter(([, value]) => value !== '')).toString();
  return given && `?${given}`;
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
