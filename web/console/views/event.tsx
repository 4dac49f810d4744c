// One event's way, from its publisher to the sockets.

import { useEffect, useState } from 'preact/hooks';
import { Ago } from '../../shared/ago.tsx';
import { count, delay, many, step } from '../../shared/format.ts';
import { Json } from '../../shared/json.tsx';
import { absolute, parse } from '../../shared/moment.ts';
import { Empty, Loading, Trouble } from '../../shared/notes.tsx';
import type { Journey } from '../answers.ts';
import { useAnswer } from '../api.ts';
import { type Step, steps, traceId, whole } from '../journey.ts';
import { href } from '../routes.ts';
import { Silent } from './silent.tsx';

export function EventView({ id, channel }: { id: string; channel: string }) {
  const [typed, setTyped] = useState({ id, channel });
  useEffect(() => setTyped({ id, channel }), [id, channel]);
  const { value, problem, isLoading, again } = useAnswer<Journey>(id && 'event', { id, channel });

  const submit = (event: Event) => {
    event.preventDefault();
    const wanted = href({ view: 'event', id: typed.id.trim(), channel: typed.channel.trim() });
    if (location.hash === wanted) again();
    else location.hash = wanted;
  };
  return (
    <>
      <h1 tabIndex={-1}>An event's journey</h1>
      <form class="bar" onSubmit={submit}>
        <label class="field grow">
          Event id
          <input
            type="search"
            required
            spellcheck={false}
            value={typed.id}
            placeholder="0d6c9a55-…"
            onInput={(event) => setTyped({ ...typed, id: event.currentTarget.value })}
          />
        </label>
        <label class="field">
          Channel, if known
          <input
            type="search"
            spellcheck={false}
            value={typed.channel}
            placeholder="customer:7"
            onInput={(event) => setTyped({ ...typed, channel: event.currentTarget.value })}
          />
        </label>
        <button type="submit" class="button primary" disabled={isLoading}>
          Follow
        </button>
      </form>
      {problem && <Trouble message={problem} />}
      {!value && isLoading && <Loading lines={6} />}
      {!id && (
        <Empty title="Which event?">
          Its id is in the answer to the publisher, in every frame that a client gets, and in a{' '}
          <a href={href({ view: 'channels', pattern: '' })}>channel's</a> recent events. Without a channel it
          is looked for in those that are read most.
        </Empty>
      )}
      {value && <Way journey={value} />}
    </>
  );
}

function Way({ journey }: { journey: Journey }) {
  const { event, channel, edges, silent_edges, traceparent } = journey;
  const trace = traceId(traceparent);
  const all = whole(journey);
  return (
    <>
      <dl class="facts panel">
        <div>
          <dt>Type</dt>
          <dd class="code-text">{event.type}</dd>
        </div>
        <div>
          <dt>Channel</dt>
          <dd>
            <a class="code-text" href={href({ view: 'channel', name: channel })}>
              {channel}
            </a>
          </dd>
        </div>
        <div>
          <dt>Offset</dt>
          <dd class="number">{count(event.offset)}</dd>
        </div>
        {event.key && (
          <div>
            <dt>Key</dt>
            <dd class="code-text">{event.key}</dd>
          </div>
        )}
        <div>
          <dt>All the way</dt>
          <dd class="number">{delay(all)}</dd>
        </div>
        <div class="fact-wide">
          <dt>Trace</dt>
          <dd class="code-text">{trace || traceparent || 'none was given'}</dd>
        </div>
      </dl>
      <Silent edges={silent_edges} />
      <div class="two">
        <section aria-labelledby="way">
          <h2 id="way">Way</h2>
          <ol class="way panel">
            {steps(journey).map((own) => (
              <WayStep key={`${own.kind} ${own.edge}`} step={own} />
            ))}
          </ol>
          {edges.length === 0 && (
            <p class="quiet hint">
              No edge remembers it: nobody read the channel, it was told before an edge began to read it, or
              it has left the edges' memory.
            </p>
          )}
        </section>
        <section aria-labelledby="payload">
          <h2 id="payload">Payload</h2>
          <div class="panel">
            <Json value={event.data} name="Payload" />
          </div>
        </section>
      </div>
    </>
  );
}

/** What a step's delay is counted from; edges hear the bus side by side. */
const AFTER = { published: '', kept: 'after publishing', heard: 'after keeping', written: 'after hearing' };

function WayStep({ step: own }: { step: Step }) {
  const at = parse(own.at);
  const isBehind = own.after !== null && own.after < 0;
  return (
    <li class="way-step" data-kind={own.kind} data-done={at === undefined ? undefined : ''}>
      <div class="way-line">
        <b>{title(own)}</b>
        {own.after !== null && (
          <span class="number way-after">
            {step(own.after)} {AFTER[own.kind]}
          </span>
        )}
      </div>
      <p class="quiet small-text">
        {at === undefined ? (
          'not yet, or not any more'
        ) : (
          <>
            <span class="number">{absolute(at)}</span>, <Ago at={own.at} />
          </>
        )}
        {isBehind && ' · before what came before it: two clocks differ'}
      </p>
    </li>
  );
}

function title({ kind, edge, readers, written }: Step): string {
  switch (kind) {
    case 'published':
      return 'Published';
    case 'kept':
      return 'Kept on the bus';
    case 'heard':
      return `Heard by edge ${edge}`;
    case 'written':
      return `Written to ${written} of ${many(readers, 'connection')}`;
  }
}
