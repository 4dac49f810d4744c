// What the tier does now: numbers, plots, and whether every service is well.

import { useMemo } from 'preact/hooks';
import { columns } from '../../shared/columns.ts';
import { count, delay, NONE, rate, span } from '../../shared/format.ts';
import { Loading } from '../../shared/notes.tsx';
import { type Line, Plot } from '../../shared/plot.tsx';
import type { Sample, Services } from '../answers.ts';
import { useAnswer } from '../api.ts';
import type { Live } from '../live.ts';
import { nameOf, peak, processorShares, secondsOf, worries } from '../samples.ts';
import { ServiceTable, wordOf } from './services.tsx';

type Pick = (sample: Sample) => number | null;

interface Drawn {
  title: string;
  hint?: string;
  format: (value: number | null) => string;
  least: number;
  lines: (Line & { pick: Pick })[];
}

const perSecond = (value: number | null) => (value === null ? NONE : rate(value));
const whole = (value: number | null) => (value === null ? NONE : count(value));

const FLOW: Drawn[] = [
  {
    title: 'Events',
    hint: 'per second',
    format: perSecond,
    least: 1,
    lines: [
      { label: 'delivered', colour: '--line-1', fill: true, pick: (own) => own.rates.delivered },
      { label: 'published', colour: '--line-2', pick: (own) => own.rates.published },
      { label: 'kept on the bus', colour: '--line-3', dash: [5, 3], pick: (own) => own.rates.appended },
    ],
  },
  {
    title: 'Connections',
    hint: 'open now',
    format: whole,
    least: 4,
    lines: [
      { label: 'connections', colour: '--line-1', fill: true, pick: (own) => own.connections },
      {
        label: 'channels followed on the bus',
        colour: '--line-4',
        dash: [5, 3],
        pick: (own) => own.subscriptions,
      },
    ],
  },
];

const DELAYS = (
  [
    ['publish', 'Publish', "from a backend's call to its answer"],
    ['append', 'Append', 'of the bus, until it is on disk'],
    ['outbox', 'Tell', 'from a domain keeping it to telling it'],
    ['deliver', 'Deliver', 'from the bus keeping it to the socket'],
  ] as const
).map(
  ([name, title, hint]): Drawn => ({
    title,
    hint,
    format: delay,
    least: 1,
    lines: [
      { label: 'p99', colour: '--line-2', pick: (own) => own.delays[name].p99 },
      { label: 'p50', colour: '--line-1', pick: (own) => own.delays[name].p50 },
    ],
  }),
);

const TROUBLE: Drawn[] = [
  {
    title: 'Errors and slow closes',
    hint: 'per second',
    format: perSecond,
    least: 1,
    lines: [
      { label: 'errors of bus and stores', colour: '--line-5', fill: true, pick: (own) => own.rates.errors },
      { label: 'slow clients closed', colour: '--line-2', pick: (own) => own.rates.slow_closes },
    ],
  },
  {
    title: 'Handshakes, replay, conflation',
    hint: 'per second',
    format: perSecond,
    least: 1,
    lines: [
      { label: 'handshakes', colour: '--line-1', pick: (own) => own.rates.handshakes },
      { label: 'replayed', colour: '--line-4', pick: (own) => own.rates.replayed },
      { label: 'conflated', colour: '--line-3', dash: [5, 3], pick: (own) => own.rates.conflated },
      { label: 'from clients', colour: '--line-2', dash: [2, 3], pick: (own) => own.rates.messages },
    ],
  },
];

export function Overview({ live }: { live: Live }) {
  const { samples } = live;
  const newest = samples.at(-1);
  // Until the first sample there are only the services.
  const asked = useAnswer<Services>(newest ? '' : 'services', {}, { everyMs: 2_000 });
  const services = newest?.services ?? asked.value?.services;
  const shares = useMemo(() => processorShares(samples), [samples]);
  return (
    <>
      <h1 tabIndex={-1}>Overview</h1>
      <Banner live={live} services={services} />
      <Numbers samples={samples} />
      <section aria-labelledby="flow">
        <h2 id="flow">Flow</h2>
        <Plots drawn={FLOW} samples={samples} tall />
      </section>
      <section aria-labelledby="delays">
        <h2 id="delays">Delays</h2>
        <Plots drawn={DELAYS} samples={samples} />
      </section>
      <section aria-labelledby="trouble">
        <h2 id="trouble">Trouble and repair</h2>
        <Plots drawn={TROUBLE} samples={samples} />
      </section>
      <section aria-labelledby="services">
        <h2 id="services">Services</h2>
        {services ? <ServiceTable services={services} shares={shares} /> : <Loading lines={3} />}
      </section>
    </>
  );
}

function Banner({ live, services = [] }: { live: Live; services?: Services['services'] | undefined }) {
  const wrong = worries(services);
  return (
    <div class="banner" role="status">
      {live.state === 'cut' && (
        <p class="note warn">
          <b>Not live.</b> What is shown is what was: {live.why}. Reconnecting by itself.
        </p>
      )}
      {wrong.map((service) => (
        <p
          key={`${service.process} ${nameOf(service)}`}
          class={`note ${service.state === 'draining' ? 'warn' : 'bad'}`}
        >
          <b>
            {nameOf(service)}: {wordOf(service.state)}.
          </b>{' '}
          {service.why}
        </p>
      ))}
    </div>
  );
}

function Numbers({ samples }: { samples: Sample[] }) {
  const newest = samples.at(-1);
  const [first] = samples;
  const since = newest && first ? span((secondsOf(newest) - secondsOf(first)) * 1000) : '';
  const tiles: [string, Pick, (value: number | null) => string][] = [
    ['Connections', (own) => own.connections, whole],
    ['Published / s', (own) => own.rates.published, perSecond],
    ['Delivered / s', (own) => own.rates.delivered, perSecond],
    ['Deliver p99', (own) => own.delays.deliver.p99, delay],
    ['Outbox waiting', (own) => own.outbox_waiting, whole],
  ];
  return (
    <dl class="tiles">
      {tiles.map(([name, pick, format]) => (
        <div key={name} class="tile panel">
          <dt>{name}</dt>
          <dd class="tile-value number">{newest ? format(pick(newest)) : NONE}</dd>
          <dd class="quiet tile-more">
            {newest ? `peak ${format(peak(samples, pick))} in ${since}` : 'no sample yet'}
          </dd>
        </div>
      ))}
    </dl>
  );
}

function Plots({ drawn, samples, tall = false }: { drawn: Drawn[]; samples: Sample[]; tall?: boolean }) {
  const data = useMemo(
    () =>
      drawn.map(({ lines }) =>
        columns(
          samples,
          secondsOf,
          lines.map(({ pick }) => pick),
        ),
      ),
    [drawn, samples],
  );
  return (
    <div class="plots" data-count={drawn.length}>
      {drawn.map(({ lines, ...plot }, index) => (
        <Plot key={plot.title} {...plot} lines={lines} tall={tall} data={data[index] ?? [[]]} />
      ))}
    </div>
  );
}
