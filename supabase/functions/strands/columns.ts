// The columns that strands name. Which ones there are is up to the table; here are the limits of any table.

import type { Issue } from "../_shared/errors.ts";

// An identifier of Postgres takes no more.
const MAX_NAME_BYTES = 63;
// The columns go to PostgREST in the URL, of which gateways take some 8 KB.
const MAX_URL_CHARACTERS = 6000;

/** Issues for column names that are too long for any table; the paths show as much as a table could hold. */
export const columnIssues = (strand: Record<string, unknown>): Issue[] =>
  Object.keys(strand).filter((name) => name.length > MAX_NAME_BYTES || bytesOf(name) > MAX_NAME_BYTES).map((
    name,
  ) => ({
    path: [name.slice(0, MAX_NAME_BYTES).toWellFormed()],
    message: `expected a column name of at most ${MAX_NAME_BYTES} bytes`,
  }));

/** The issue if the columns of all strands together are too long for a URL; null if they are not. */
export const allColumnsIssue = (strands: Record<string, unknown>[]): Issue | null => {
  const names = new Set(strands.flatMap(Object.keys));
  let characters = 0;
  for (const name of names) characters += encodeURIComponent(`"${name}",`.toWellFormed()).length;
  if (characters <= MAX_URL_CHARACTERS) return null;
  const message =
    `expected columns whose names take at most ${MAX_URL_CHARACTERS} characters in a URL, got ${characters}`;
  return { path: [], message };
};

const bytesOf = (name: string): number => new TextEncoder().encode(name).length;
