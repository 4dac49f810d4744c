// Every process, and every role of which nothing is heard.

import { Ago } from '../../shared/ago.tsx';
import { bytes, count, NONE, span } from '../../shared/format.ts';
import { Table } from '../../shared/table.tsx';
import type { Service, State } from '../answers.ts';

export function wordOf(state: State): string {
  return { ready: 'ready', not_ready: 'not ready', draining: 'draining', silent: 'silent' }[state];
}

export function ServiceTable({ services, shares }: { services: Service[]; shares: Map<string, number> }) {
  const share = (service: Service) => shares.get(service.process);
  const known = (service: Service, text: string) =>
    service.state === 'silent' ? <span class="quiet">{NONE}</span> : text;
  return (
    <Table
      caption="Services"
      rows={services}
      id={(own) => own.process || own.roles.join()}
      mark={(own) => (own.state === 'ready' ? undefined : own.state === 'draining' ? 'warn' : 'bad')}
      columns={[
        {
          name: 'State',
          cell: ({ state }) => (
            <span class="state" data-state={state}>
              {wordOf(state)}
            </span>
          ),
        },
        {
          name: 'Roles',
          wide: true,
          cell: ({ roles, process, why }) => (
            <>
              <span class="chips">
                {roles.map((role) => (
                  <span key={role} class="chip">
                    {role}
                  </span>
                ))}
              </span>
              {process && <span class="quiet small-text code-text">{process}</span>}
              {why && <span class="why">{why}</span>}
            </>
          ),
        },
        { name: 'Version', cell: (own) => own.version || <span class="quiet">{NONE}</span> },
        { name: 'Up for', number: true, cell: (own) => <Ago at={own.started_at} words={span} /> },
        { name: 'Memory', number: true, cell: (own) => known(own, bytes(own.memory_bytes)) },
        {
          name: 'Processor',
          number: true,
          cell: (own) => {
            const part = share(own);
            return part === undefined ? (
              <span class="quiet">{NONE}</span>
            ) : (
              `${(part * 100).toFixed(part < 0.1 ? 1 : 0)} %`
            );
          },
        },
        { name: 'Connections', number: true, cell: (own) => known(own, count(own.connections)) },
      ]}
    />
  );
}
