// One channel: where its log ends, who reads it, what was told lately.

import { Ago } from '../../shared/ago.tsx';
import { count, many, NONE } from '../../shared/format.ts';
import { Json } from '../../shared/json.tsx';
import { Empty, Loading, Trouble } from '../../shared/notes.tsx';
import type { Kept, Recent } from '../answers.ts';
import { useAnswer } from '../api.ts';
import { href } from '../routes.ts';

export function ChannelView({ name }: { name: string }) {
  const { value, problem, isLoading, again } = useAnswer<Recent>('channel', { name });
  return (
    <>
      <p class="crumbs">
        <a href={href({ view: 'channels', pattern: '' })}>Channels</a>
      </p>
      <div class="title">
        <h1 tabIndex={-1} class="code-text">
          {name}
        </h1>
        <button type="button" class="button" disabled={isLoading} onClick={again}>
          Refresh
        </button>
      </div>
      {problem && <Trouble message={problem} again={again} />}
      {!value && isLoading && <Loading lines={6} />}
      {value && (
        <>
          <dl class="facts panel">
            <Fact name="Head" value={count(value.head)} />
            <Fact name="Readers" value={count(value.readers)} />
            <Fact name="Users among them" value={count(value.users)} />
            <Fact name="Epoch" value={value.epoch} isCode />
          </dl>
          {value.values.length > 0 && (
            <section aria-labelledby="values">
              <h2 id="values">Newest values</h2>
              <p class="quiet hint">Of each key only the newest counts.</p>
              <Entries channel={name} entries={value.values} isByKey />
            </section>
          )}
          <section aria-labelledby="events">
            <h2 id="events">Recent events</h2>
            {value.events.length === 0 ? (
              <Empty title="The log is empty">
                Nothing was published here, or nothing of it is kept any more.
              </Empty>
            ) : (
              <>
                <p class="quiet hint">{many(value.events.length, 'event')}, the newest first.</p>
                <Entries channel={name} entries={value.events} />
              </>
            )}
          </section>
        </>
      )}
    </>
  );
}

function Fact({ name, value, isCode = false }: { name: string; value: string; isCode?: boolean }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd class={isCode ? 'code-text' : 'number'}>{value}</dd>
    </div>
  );
}

function Entries({
  channel,
  entries,
  isByKey = false,
}: {
  channel: string;
  entries: Kept[];
  isByKey?: boolean;
}) {
  return (
    <ul class="entries panel">
      {entries.map((entry) => (
        <li key={entry.id}>
          <details>
            <summary>
              <span class="number entry-offset">{isByKey ? entry.key || NONE : count(entry.offset)}</span>
              <span class="code-text entry-type">{entry.type}</span>
              <span class="entry-age quiet">
                <Ago at={entry.kept_at} />
              </span>
            </summary>
            <Json value={entry.data} name={`Payload of ${entry.type}`} />
          </details>
          <a
            class="entry-id code-text"
            href={href({ view: 'event', id: entry.id, channel })}
            aria-label={`Journey of ${entry.type} ${entry.id}`}
          >
            {entry.id}
          </a>
        </li>
      ))}
    </ul>
  );
}
