// What is read now, the most read first.

import { useEffect, useRef, useState } from 'preact/hooks';
import { count, many } from '../../shared/format.ts';
import { Empty, Loading, Trouble } from '../../shared/notes.tsx';
import { Table } from '../../shared/table.tsx';
import type { Channels } from '../answers.ts';
import { useAnswer } from '../api.ts';
import { href } from '../routes.ts';
import { Silent } from './silent.tsx';

const LIMIT = 200;
/** After the last key, before it is asked. */
const TYPING_MS = 300;

export function ChannelsView({ pattern }: { pattern: string }) {
  const [typed, setTyped] = useState(pattern);
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  const { value, problem, isLoading, again } = useAnswer<Channels>(
    'channels',
    { pattern, limit: `${LIMIT}` },
    { keeps: true },
  );
  useEffect(() => setTyped(pattern), [pattern]);
  useEffect(() => () => clearTimeout(timer.current), []);

  const show = (text: string) => {
    clearTimeout(timer.current);
    location.replace(href({ view: 'channels', pattern: text.trim() }));
  };
  const type = (text: string) => {
    setTyped(text);
    clearTimeout(timer.current);
    timer.current = setTimeout(() => show(text), TYPING_MS);
  };
  const name = pattern.includes('*') ? '' : pattern;
  return (
    <>
      <h1 tabIndex={-1}>Channels</h1>
      <form
        class="bar"
        onSubmit={(event) => {
          event.preventDefault();
          show(typed);
        }}
      >
        <label class="field grow">
          Pattern
          <input
            type="search"
            value={typed}
            placeholder="customer:*"
            aria-describedby="pattern-hint"
            onInput={(event) => type(event.currentTarget.value)}
          />
        </label>
        <button type="button" class="button" disabled={isLoading} onClick={again}>
          Refresh
        </button>
      </form>
      <p id="pattern-hint" class="quiet hint">
        <code>*</code> stands for any characters. Channels that somebody reads now are listed, at most {LIMIT}
        .
        {name && (
          <>
            {' '}
            <a href={href({ view: 'channel', name })}>Open {name}</a>, whoever reads it.
          </>
        )}
      </p>
      {problem && <Trouble message={problem} again={again} />}
      {value && <Silent edges={value.silent_edges} />}
      {!value && isLoading && <Loading lines={6} />}
      {value && value.channels.length === 0 && (
        <Empty title={pattern ? `Nobody reads a channel like ${pattern}` : 'No channel is read now'}>
          A channel is listed while a client is subscribed to it.
        </Empty>
      )}
      {value && value.channels.length > 0 && (
        <>
          <p class="quiet hint" role="status">
            {many(value.channels.length, 'channel')}
            {value.channels.length >= LIMIT && ', and more: narrow the pattern'}
          </p>
          <Table
            caption="Channels, the most read first"
            isSlim
            rows={value.channels}
            id={(own) => own.name}
            columns={[
              {
                name: 'Channel',
                wide: true,
                cell: (own) => (
                  <a class="code-text" href={href({ view: 'channel', name: own.name })}>
                    {own.name}
                  </a>
                ),
              },
              { name: 'Readers', number: true, cell: (own) => count(own.readers) },
            ]}
          />
        </>
      )}
    </>
  );
}
