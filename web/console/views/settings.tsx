// Settings as every process has them; of secrets only that they are set.

import { useMemo } from 'preact/hooks';
import { many } from '../../shared/format.ts';
import { Empty, Loading, Trouble } from '../../shared/notes.tsx';
import { Table } from '../../shared/table.tsx';
import type { AllSettings } from '../answers.ts';
import { useAnswer } from '../api.ts';
import { type Compared, compared, found } from '../compare.ts';
import { href } from '../routes.ts';

export function SettingsView({ find, changed }: { find: string; changed: boolean }) {
  const { value, problem, isLoading, again } = useAnswer<AllSettings>('settings');
  const all = useMemo(() => compared(value?.processes ?? []), [value]);
  const shown = found(all, find, changed);
  const processes = value?.processes ?? [];
  const roles = new Map(processes.map((own) => [own.process, own.roles.join(', ')]));
  const show = (next: { find?: string; changed?: boolean }) =>
    location.replace(href({ view: 'settings', find, changed, ...next }));
  const different = all.filter((own) => own.isDifferent).length;
  return (
    <>
      <h1 tabIndex={-1}>Settings</h1>
      <form class="bar" onSubmit={(event) => event.preventDefault()}>
        <label class="field grow">
          Find
          <input
            type="search"
            value={find}
            spellcheck={false}
            placeholder="name or value"
            onInput={(event) => show({ find: event.currentTarget.value })}
          />
        </label>
        <label class="check">
          <input
            type="checkbox"
            checked={changed}
            onChange={(event) => show({ changed: event.currentTarget.checked })}
          />
          Only what is not the default
        </label>
      </form>
      <p class="quiet hint">
        Settings are environment variables, or files that they name. Of a secret only that it is set is known
        here.
      </p>
      {problem && <Trouble message={problem} again={again} />}
      {!value && isLoading && <Loading lines={8} />}
      {Object.entries(value?.silent ?? {}).map(([role, why]) => (
        <p key={role} class="note warn" role="status">
          <b>{role}</b> did not say its settings: {why}
        </p>
      ))}
      {different > 0 && (
        <p class="note warn" role="status">
          Processes have different values for {many(different, 'setting')}. That may be meant: addresses
          differ.
        </p>
      )}
      {value && (
        <p class="quiet hint" role="status">
          {many(shown.length, 'setting')} of {many(processes.length, 'process', 'processes')}
        </p>
      )}
      {value && shown.length === 0 && <Empty title="No setting is like that" />}
      {shown.length > 0 && (
        <Table
          caption="Settings"
          rows={shown}
          id={(own) => own.name}
          mark={(own) => (own.isDifferent ? 'warn' : undefined)}
          columns={[
            {
              name: 'Setting',
              cell: (own) => (
                <span class="code-text setting-name" data-changed={own.isChanged ? '' : undefined}>
                  {own.name.replaceAll('_', '_\u200b')}
                </span>
              ),
            },
            { name: 'Value', wide: true, cell: (own) => <Values own={own} roles={roles} /> },
            {
              name: 'From',
              cell: (own) => (
                <span class="chips">
                  {[...new Set(own.values.map(({ source }) => source))].map((source) => (
                    <span key={source} class="chip" data-source={source}>
                      {source}
                    </span>
                  ))}
                  {own.isDifferent && <span class="chip differs">differs</span>}
                </span>
              ),
            },
          ]}
        />
      )}
    </>
  );
}

function Values({ own, roles }: { own: Compared; roles: Map<string, string> }) {
  if (!own.isDifferent) return <Value value={own.values[0]?.value ?? ''} />;
  return (
    <ul class="values">
      {own.values.map(({ value, source, processes }) => (
        <li key={`${value} ${source}`}>
          <Value value={value} />
          <span class="quiet small-text"> {processes.map((id) => roles.get(id) ?? id).join(' · ')}</span>
        </li>
      ))}
    </ul>
  );
}

function Value({ value }: { value: string }) {
  return value ? <span class="code-text">{value}</span> : <span class="quiet">not set</span>;
}
