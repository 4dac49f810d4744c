// A table that becomes a list of cards where there is no room for columns, and stays a table for screen readers.

import type { ComponentChildren } from 'preact';

export interface Column<T> {
  name: string;
  cell: (row: T) => ComponentChildren;
  /** Numbers stand below each other. */
  number?: boolean;
  /** Takes the room that others leave. */
  wide?: boolean;
}

interface Properties<T> {
  caption: string;
  columns: Column<T>[];
  rows: T[];
  id: (row: T) => string;
  /** What stands out about a row. */
  mark?: (row: T) => string | undefined;
  /** Has so few columns that they fit everywhere. */
  isSlim?: boolean;
}

export function Table<T>({ caption, columns, rows, id, mark, isSlim = false }: Properties<T>) {
  // The roles are said, since a table that is laid out as blocks loses them.
  return (
    // biome-ignore-start lint/a11y/noRedundantRoles: lost otherwise, where it is laid out as cards
    // biome-ignore-start lint/a11y/useSemanticElements: it is one
    <table class={isSlim ? 'table' : 'table folds'} role="table">
      <caption class="unseen">{caption}</caption>
      <thead role="rowgroup">
        <tr role="row">
          {columns.map((column) => (
            <th key={column.name} role="columnheader" scope="col" class={classes(column)}>
              {column.name}
            </th>
          ))}
        </tr>
      </thead>
      <tbody role="rowgroup">
        {rows.map((row) => (
          <tr key={id(row)} role="row" data-mark={mark?.(row)}>
            {columns.map((column) => (
              <td key={column.name} role="cell" data-name={column.name} class={classes(column)}>
                {column.cell(row)}
              </td>
            ))}
          </tr>
        ))}
      </tbody>
    </table>
    // biome-ignore-end lint/a11y/useSemanticElements: it is one
    // biome-ignore-end lint/a11y/noRedundantRoles: lost otherwise, where it is laid out as cards
  );
}

function classes<T>(column: Column<T>): string | undefined {
  const all = [column.number && 'number', column.wide && 'wide'].filter(Boolean);
  return all.length > 0 ? all.join(' ') : undefined;
}
