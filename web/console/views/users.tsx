// A user's sessions, and what an operator may do about them.

import type { ComponentChildren } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { Ago } from '../../shared/ago.tsx';
import { Confirm } from '../../shared/confirm.tsx';
import { many } from '../../shared/format.ts';
import { Empty, Loading, Trouble } from '../../shared/notes.tsx';
import { Table } from '../../shared/table.tsx';
import type { Session, Sessions } from '../answers.ts';
import { get, post, useAnswer, words } from '../api.ts';
import { href } from '../routes.ts';
import { Silent } from './silent.tsx';

export function UsersView({ id }: { id: string }) {
  const [typed, setTyped] = useState(id);
  useEffect(() => setTyped(id), [id]);
  const submit = (event: Event) => {
    event.preventDefault();
    location.hash = href({ view: 'users', id: typed.trim() });
  };
  return (
    <>
      <h1 tabIndex={-1}>{id ? `User ${id}` : 'Users'}</h1>
      <form class="bar" onSubmit={submit}>
        <label class="field grow">
          User id
          <input
            type="search"
            required
            spellcheck={false}
            value={typed}
            placeholder="7"
            onInput={(event) => setTyped(event.currentTarget.value)}
          />
        </label>
        <button type="submit" class="button primary">
          Show sessions
        </button>
      </form>
      {id ? (
        <User key={id} id={id} />
      ) : (
        <Empty title="Whose sessions?">
          The id is the one in the user's token. Whoever has a link to a delivery is <code>share:</code> with
          the delivery's id.
        </Empty>
      )}
    </>
  );
}

type Deed = { kind: 'one'; session: Session } | { kind: 'all' } | { kind: 'sign-out' };

/** What became of it. */
interface Result {
  state: 'working' | 'done' | 'failed';
  text: string;
}

/** An order is carried out within a second; afterwards it is said what is still open. */
const PATIENCE_MS = 4_000;
const LOOK_MS = 250;

function User({ id }: { id: string }) {
  const { value, problem, isLoading, again } = useAnswer<Sessions>('user', { id });
  const [deed, setDeed] = useState<Deed>();
  const [result, setResult] = useState<Result>();
  const note = useRef<HTMLParagraphElement>(null);
  const isBusy = result?.state === 'working';

  // The button that was pressed may be gone with its session.
  useEffect(() => {
    if (result && result.state !== 'working') note.current?.focus();
  }, [result]);

  const carryOut = async (own: Deed) => {
    setResult({ state: 'working', text: 'The order is being given…' });
    try {
      const before = value?.sessions ?? [];
      const concerned = new Set(
        own.kind === 'one' ? [own.session.client_id] : before.map((session) => session.client_id),
      );
      if (own.kind === 'sign-out') await post('sign-out', { user_id: id });
      else {
        const client = own.kind === 'one' ? { client_id: own.session.client_id } : {};
        await post('disconnect', { user_id: id, ...client });
      }
      const open = await stillOpen(id, concerned);
      setResult(outcome(own, concerned.size, open));
    } catch (why) {
      setResult({ state: 'failed', text: words(why) });
    }
    again();
  };
  return (
    <>
      {problem && <Trouble message={problem} again={again} />}
      <p
        ref={note}
        tabIndex={-1}
        class={`note result ${result?.state === 'failed' ? 'bad' : result?.state === 'done' ? 'good' : ''}`}
        role="status"
        hidden={!result}
      >
        {result?.text}
      </p>
      {!value && isLoading && <Loading lines={3} />}
      {value && (
        <>
          <Silent edges={value.silent_edges} />
          <div class="bar">
            <p class="grow" role="status">
              {many(value.clients, 'open session')}
            </p>
            <button type="button" class="button" disabled={isLoading} onClick={again}>
              Refresh
            </button>
            <button
              type="button"
              class="button danger"
              disabled={isBusy || value.clients === 0}
              onClick={() => setDeed({ kind: 'all' })}
            >
              Disconnect all
            </button>
            <button
              type="button"
              class="button danger"
              disabled={isBusy}
              onClick={() => setDeed({ kind: 'sign-out' })}
            >
              Sign out
            </button>
          </div>
          {value.sessions.length === 0 ? (
            <Empty title={`User ${id} has no open session`}>
              Signing out still refuses the tokens that the user has now.
            </Empty>
          ) : (
            <SessionTable
              sessions={value.sessions}
              isBusy={isBusy}
              disconnect={(session) => setDeed({ kind: 'one', session })}
            />
          )}
        </>
      )}
      {deed && (
        <Confirm
          {...question(deed, id, value?.clients ?? 0)}
          closed={() => setDeed(undefined)}
          confirmed={() => void carryOut(deed)}
        />
      )}
    </>
  );
}

function SessionTable({
  sessions,
  isBusy,
  disconnect,
}: {
  sessions: Session[];
  isBusy: boolean;
  disconnect: (session: Session) => void;
}) {
  return (
    <Table
      caption="Sessions"
      rows={sessions}
      id={(own) => own.client_id}
      columns={[
        {
          name: 'Session',
          cell: (own) => (
            <>
              <span class="code-text">{own.client_id}</span>
              <span class="quiet small-text">
                {own.protocol} from {own.address || 'an unknown address'}
              </span>
            </>
          ),
        },
        {
          name: 'Channels',
          wide: true,
          cell: (own) => (
            <span class="chips">
              {own.channels.map((name) => (
                <a key={name} class="chip" href={href({ view: 'channel', name })}>
                  {name}
                </a>
              ))}
            </span>
          ),
        },
        { name: 'Edge', cell: (own) => <span class="code-text">{own.edge}</span> },
        { name: 'Connected', number: true, cell: (own) => <Ago at={own.connected_at} /> },
        { name: 'Token ends', number: true, cell: (own) => <Ago at={own.expires_at} /> },
        {
          name: 'Action',
          cell: (own) => (
            <button
              type="button"
              class="button small danger"
              disabled={isBusy}
              aria-label={`Disconnect session ${own.client_id}`}
              onClick={() => disconnect(own)}
            >
              Disconnect
            </button>
          ),
        },
      ]}
    />
  );
}

function question(
  deed: Deed,
  id: string,
  clients: number,
): { title: string; deed: string; children: ComponentChildren } {
  const stays = 'The token stays good: an app that reconnects by itself is back in a moment.';
  switch (deed.kind) {
    case 'one':
      return {
        title: `Disconnect one session of user ${id}?`,
        deed: 'Disconnect',
        children: (
          <p>
            Session <code>{deed.session.client_id}</code> is closed within a second. {stays}
          </p>
        ),
      };
    case 'all':
      return {
        title: `Disconnect user ${id}?`,
        deed: 'Disconnect all',
        children: (
          <p>
            All sessions of the user are closed within a second ({many(clients, 'session')} now). {stays}
          </p>
        ),
      };
    case 'sign-out':
      return {
        title: `Sign out user ${id}?`,
        deed: 'Sign out',
        children: (
          <p>
            Every token that the user has now is refused for 24 hours, and what began with one is closed
            within a second, on all devices. Whoever gets a new token, by its refresh token or by signing in,
            comes back. To keep somebody out, close the account in Django first.
          </p>
        ),
      };
  }
}

/** Which of them are open after the order had its time. */
async function stillOpen(id: string, concerned: ReadonlySet<string>): Promise<number> {
  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    const { sessions } = await get<Sessions>('user', { id });
    const open = sessions.filter((session) => concerned.has(session.client_id)).length;
    if (open === 0 || Date.now() > deadline) return open;
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
}

function outcome(deed: Deed, concerned: number, open: number): Result {
  const refused = deed.kind === 'sign-out' ? 'The tokens are refused from now on. ' : '';
  if (open > 0) {
    return {
      state: 'failed',
      text: `${refused}The order is kept, but ${many(open, 'session')} of ${concerned} did not end yet.`,
    };
  }
  const ended = concerned === 0 ? 'There was no session to end.' : `${many(concerned, 'session')} ended.`;
  return { state: 'done', text: `${refused}${ended}` };
}
