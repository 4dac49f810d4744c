// What Django's relays say of their outboxes.

import { useEffect } from 'preact/hooks';
import { Ago, useNow } from '../../shared/ago.tsx';
import { count, span } from '../../shared/format.ts';
import { clock, parse } from '../../shared/moment.ts';
import { Empty, Loading, Trouble } from '../../shared/notes.tsx';
import { Table } from '../../shared/table.tsx';
import type { Outbox, Outboxes } from '../answers.ts';
import { useAnswer } from '../api.ts';

const ASK_MS = 5_000;
/** A relay that says nothing for so long may be gone. */
const OLD_MS = 60_000;

export function OutboxView() {
  const { value, problem, isLoading, again } = useAnswer<Outboxes>('outboxes', {}, { everyMs: ASK_MS });
  useEffect(() => {
    if (value) clock.told(value.now);
  }, [value]);
  const now = useNow();
  const isOld = (own: Outbox) => now - (parse(own.reported_at) ?? 0) > OLD_MS;
  const all = value?.outboxes ?? [];
  return (
    <>
      <h1 tabIndex={-1}>Outbox</h1>
      <p class="quiet hint">
        What waits at the publishers, as their relays report it. Asked every 5 seconds.
      </p>
      {problem && <Trouble message={problem} again={again} />}
      {!value && isLoading && <Loading lines={3} />}
      {all.filter(isOld).map((own) => (
        <p key={own.name} class="note warn" role="status">
          <b>{own.name}</b> has not reported for {span(now - (parse(own.reported_at) ?? 0))}: does its relay
          run?
        </p>
      ))}
      {all
        .filter((own) => own.dead > 0)
        .map((own) => (
          <p key={own.name} class="note bad" role="status">
            <b>{own.name}</b> holds {count(own.dead)} dead {own.dead === 1 ? 'letter' : 'letters'}: events
            that the tier refused for good. Look at them in Django's admin.
          </p>
        ))}
      {value && all.length === 0 && (
        <Empty title="No outbox reports">
          <p>
            Django's relays report by themselves when <code>manage.py realtime_relay</code> of the Python
            package runs and reaches this tier. Another publisher with an outbox of its own reports by{' '}
            <code>EventsService.ReportOutbox</code>.
          </p>
        </Empty>
      )}
      {all.length > 0 && (
        <Table
          caption="Outboxes"
          rows={all}
          id={(own) => own.name}
          mark={(own) => (own.dead > 0 ? 'bad' : isOld(own) ? 'warn' : undefined)}
          columns={[
            { name: 'Outbox', wide: true, cell: (own) => <span class="code-text">{own.name}</span> },
            { name: 'Waiting', number: true, cell: (own) => count(own.waiting) },
            {
              name: 'Oldest waits',
              number: true,
              cell: (own) => <Ago at={own.oldest_waiting_at} words={span} />,
            },
            { name: 'Dead letters', number: true, cell: (own) => count(own.dead) },
            { name: 'Relayed since its start', number: true, cell: (own) => count(own.relayed) },
            { name: 'Reported', number: true, cell: (own) => <Ago at={own.reported_at} /> },
          ]}
        />
      )}
    </>
  );
}
