// A plot of lines over time, with a legend that reads the values under the pointer, or else the newest.

import 'uplot/dist/uPlot.min.css';
import { useEffect, useRef, useState } from 'preact/hooks';
import uPlot from 'uplot';
import { alone, type Columns, newest } from './columns.ts';
import { colour, onTheme } from './theme.ts';

export interface Line {
  label: string;
  /** A custom property of the design. */
  colour: string;
  dash?: number[];
  fill?: boolean;
}

interface Properties {
  title: string;
  hint?: string;
  lines: Line[];
  data: Columns;
  format: (value: number | null) => string;
  /** The axis ends at this or above, so that next to nothing does not look like much. */
  least: number;
  tall?: boolean;
}

/** Plots on one page show the same moment. */
const SYNC = 'moment';

export function Plot({ title, hint, lines, data, format, least, tall = false }: Properties) {
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const [at, setAt] = useState<number | null>(null);
  const [themes, setThemes] = useState(0);
  const latest = useRef(data);
  latest.current = data;
  const height = tall ? 220 : 150;

  useEffect(() => onTheme(() => setThemes((count) => count + 1)), []);

  // Made anew for other colours; data comes by `setData`.
  useEffect(() => {
    const element = place.current;
    if (!element) return;
    const made = new uPlot(
      options(lines, format, least, { width: element.clientWidth || 300, height }, setAt),
      latest.current as uPlot.AlignedData,
      element,
    );
    plot.current = made;
    const watch = new ResizeObserver(() => {
      if (element.clientWidth > 0) made.setSize({ width: element.clientWidth, height });
    });
    watch.observe(element);
    return () => {
      watch.disconnect();
      made.destroy();
      plot.current = null;
    };
  }, [themes, height]);

  useEffect(() => {
    plot.current?.setData(data as uPlot.AlignedData);
  }, [data]);

  const values = lines.map((_, index) => {
    const line = data[index + 1];
    return at === null ? newest(line) : (line?.[at] ?? null);
  });
  const said = lines.map((line, index) => `${line.label} ${format(values[index] ?? null)}`).join(', ');
  return (
    <figure class="plot panel">
      <figcaption>
        <span class="plot-title">{title}</span>
        {hint && <span class="quiet"> {hint}</span>}
      </figcaption>
      <ul class="legend">
        {lines.map((line, index) => (
          <li key={line.label}>
            <span
              class="swatch"
              data-dashed={line.dash ? '' : undefined}
              style={{ '--line': `var(${line.colour})` }}
            />
            {line.label} <b class="number">{format(values[index] ?? null)}</b>
          </li>
        ))}
      </ul>
      <div class="canvas" style={{ height: `${height}px` }} role="img" aria-label={`${title}: ${said}`}>
        <div ref={place} />
        {data[0].length < 2 && <p class="canvas-empty">Lines begin with the second sample.</p>}
      </div>
    </figure>
  );
}

function options(
  lines: Line[],
  format: Properties['format'],
  least: number,
  size: { width: number; height: number },
  setAt: (index: number | null) => void,
): uPlot.Options {
  const axis = {
    stroke: colour('--text-quiet'),
    font: '11px system-ui, sans-serif',
    grid: { stroke: colour('--grid'), width: 1 },
    ticks: { show: false },
  };
  return {
    ...size,
    legend: { show: false },
    padding: [8, 26, 0, 0],
    cursor: {
      sync: { key: SYNC, setSeries: false },
      drag: { setScale: false, x: false, y: false },
      points: { size: 7 },
      y: false,
    },
    scales: { y: { range: (_plot, _min, max) => [0, Math.max(least, (max ?? 0) * 1.1)] } },
    axes: [
      { ...axis, size: 26, space: 70, values: '{HH}:{mm}:{ss}', gap: 6 },
      {
        ...axis,
        size: 62,
        space: 34,
        gap: 6,
        values: (_plot, splits) => splits.map((value) => format(value)),
      },
    ],
    series: [
      {},
      ...lines.map((line): uPlot.Series => {
        const stroke = colour(line.colour);
        return {
          label: line.label,
          stroke,
          width: 1.6,
          ...(line.dash ? { dash: line.dash } : {}),
          ...(line.fill ? { fill: `${stroke}1f` } : {}),
          points: {
            show: true,
            size: 4,
            fill: stroke,
            filter: (own, index) => alone(Array.from(own.data[index] ?? [])),
          },
        };
      }),
    ],
    hooks: { setCursor: [(own) => setAt(own.cursor.idx ?? null)] },
  };
}
