// The frame around the views: who is signed in, where one is, whether what is shown is live.

import { useEffect, useRef, useState } from 'preact/hooks';
import { Brand } from '../shared/mark.tsx';
import { Loading, Trouble } from '../shared/notes.tsx';
import { choose, chosen, THEMES, type Theme } from '../shared/theme.ts';
import type { Services } from './answers.ts';
import { get, Problem, post, SIGNED_OUT, words } from './api.ts';
import { type Live, useLive } from './live.ts';
import { href, parseRoute, type Route, titleOf } from './routes.ts';
import { ChannelView } from './views/channel.tsx';
import { ChannelsView } from './views/channels.tsx';
import { EventView } from './views/event.tsx';
import { OutboxView } from './views/outbox.tsx';
import { Overview } from './views/overview.tsx';
import { SettingsView } from './views/settings.tsx';
import { SignIn } from './views/sign-in.tsx';
import { UsersView } from './views/users.tsx';

const NAVIGATION: { label: string; route: Route; holds: Route['view'][] }[] = [
  { label: 'Overview', route: { view: 'overview' }, holds: ['overview'] },
  { label: 'Channels', route: { view: 'channels', pattern: '' }, holds: ['channels', 'channel'] },
  { label: 'Events', route: { view: 'event', id: '', channel: '' }, holds: ['event'] },
  { label: 'Users', route: { view: 'users', id: '' }, holds: ['users'] },
  { label: 'Outbox', route: { view: 'outbox' }, holds: ['outbox'] },
  { label: 'Settings', route: { view: 'settings', find: '', changed: false }, holds: ['settings'] },
];

const THEME_NAMES: Record<Theme, string> = { system: 'System', light: 'Light', dark: 'Dark' };

type Session = 'asking' | 'in' | 'out' | { problem: string };

export function App() {
  const [session, setSession] = useState<Session>('asking');
  const [round, setRound] = useState(0);

  // A round is a reason to ask again.
  useEffect(() => {
    get<Services>('services').then(
      () => setSession('in'),
      (why) => setSession(why instanceof Problem && why.status === 401 ? 'out' : { problem: words(why) }),
    );
  }, [round]);
  useEffect(() => {
    const out = () => setSession('out');
    window.addEventListener(SIGNED_OUT, out);
    return () => window.removeEventListener(SIGNED_OUT, out);
  }, []);

  if (session === 'out') return <SignIn entered={() => setSession('in')} />;
  if (session === 'in') return <Inside left={() => setSession('out')} />;
  return (
    <main class="alone">
      {session === 'asking' ? (
        <Loading lines={3} />
      ) : (
        <Trouble message={session.problem} again={() => setRound(round + 1)} />
      )}
    </main>
  );
}

function useRoute(): Route {
  const [hash, setHash] = useState(location.hash);
  useEffect(() => {
    const changed = () => setHash(location.hash);
    window.addEventListener('hashchange', changed);
    return () => window.removeEventListener('hashchange', changed);
  }, []);
  return parseRoute(hash);
}

function Inside({ left }: { left: () => void }) {
  const route = useRoute();
  const live = useLive();
  const main = useRef<HTMLElement>(null);
  const title = titleOf(route);
  const place = route.view === 'channel' || route.view === 'users' ? title : route.view;
  const shown = useRef(place);

  useEffect(() => {
    document.title = `${title} · PlatePal Realtime`;
  }, [title]);
  useEffect(() => {
    // Whoever follows a link goes on reading at the new view's heading; who has just come stays at the top.
    if (shown.current === place) return;
    shown.current = place;
    main.current?.querySelector('h1')?.focus({ preventScroll: true });
    window.scrollTo(0, 0);
  }, [place]);

  const leave = async () => {
    // What can't be ended there is still left here.
    await post('logout', {}).catch(() => {});
    left();
  };
  return (
    <div class="frame">
      <button type="button" class="skip" onClick={() => main.current?.focus()}>
        Skip to content
      </button>
      <header class="head">
        <a class="brand" href="#/">
          <Brand />
        </a>
        <nav aria-label="Views">
          <ul>
            {NAVIGATION.map(({ label, route: to, holds }) => (
              <li key={label}>
                <a href={href(to)} aria-current={holds.includes(route.view) ? 'page' : undefined}>
                  {label}
                </a>
              </li>
            ))}
          </ul>
        </nav>
        <div class="head-end">
          <Pulse live={live} />
          <ThemeSwitch />
          <button type="button" class="button small" onClick={() => void leave()}>
            Leave
          </button>
        </div>
      </header>
      <main id="main" ref={main} tabIndex={-1}>
        <View route={route} live={live} />
      </main>
    </div>
  );
}

function View({ route, live }: { route: Route; live: Live }) {
  switch (route.view) {
    case 'overview':
      return <Overview live={live} />;
    case 'channels':
      return <ChannelsView pattern={route.pattern} />;
    case 'channel':
      return <ChannelView key={route.name} name={route.name} />;
    case 'event':
      return <EventView id={route.id} channel={route.channel} />;
    case 'users':
      return <UsersView id={route.id} />;
    case 'outbox':
      return <OutboxView />;
    case 'settings':
      return <SettingsView find={route.find} changed={route.changed} />;
    case 'unknown':
      return (
        <>
          <h1 tabIndex={-1}>Not found</h1>
          <p>
            There is no view <code>{route.path}</code>. Begin at the <a href="#/">overview</a>.
          </p>
        </>
      );
  }
}

function Pulse({ live }: { live: Live }) {
  const text = { connecting: 'connecting', live: 'live', cut: 'cut, reconnecting' }[live.state];
  return (
    <span class="pulse" role="status" data-state={live.state} title={live.why || undefined}>
      <span class="pulse-dot" aria-hidden="true" />
      {text}
    </span>
  );
}

function ThemeSwitch() {
  const [theme, setTheme] = useState<Theme>(chosen);
  const pick = (next: Theme) => {
    choose(next);
    setTheme(next);
  };
  return (
    <label class="theme">
      <span class="unseen">Colours</span>
      <select value={theme} onChange={(event) => pick(event.currentTarget.value as Theme)}>
        {THEMES.map((own) => (
          <option key={own} value={own}>
            {THEME_NAMES[own]}
          </option>
        ))}
      </select>
    </label>
  );
}
