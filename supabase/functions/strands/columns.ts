// The columns that strands name: the table's, whatever it is.

import type { Issue } from "../_shared/errors.ts";

// What an identifier of Postgres holds.
const MAX_NAME_BYTES = 63;
// PostgREST is told the columns in the URL, and gateways take some 8 KB of one.
const MAX_URL_CHARACTERS = 6000;

/** The columns of a strand that no table can have; their names are cut to what one can be. */
export const columnIssues = (row: Record<string, unknown>): Issue[] =>
  Object.keys(row).filter((name) => name.length > MAX_NAME_BYTES || bytesOf(name) > MAX_NAME_BYTES).map((
    name,
  ) => ({
    path: [name.slice(0, MAX_NAME_BYTES).toWellFormed()],
    message: `expected a column name of at most ${MAX_NAME_BYTES} bytes`,
  }));

/** What is wrong with the columns of all strands together; null if nothing is. */
export const allColumnsIssue = (rows: Record<string, unknown>[]): Issue | null => {
  const names = new Set(rows.flatMap(Object.keys));
  let characters = 0;
  for (const name of names) characters += encodeURIComponent(`"${name}",`.toWellFormed()).length;
  if (characters <= MAX_URL_CHARACTERS) return null;
  const message =
    `expected columns whose names take at most ${MAX_URL_CHARACTERS} characters in a URL, got ${characters}`;
  return { path: [], message };
};

const bytesOf = (name: string): number => new TextEncoder().encode(name).length;
