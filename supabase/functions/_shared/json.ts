// JSON values: what they are, and how messages show them.

import { LongNumber, Unreadable } from "./numbers.ts";

export const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof LongNumber) &&
  !(value instanceof Unreadable);

/** Why jsonb cannot hold a text; null if it can. */
export const unstorable = (text: string): string | null => {
  if (text.includes("\u0000")) return "holds \\u0000, which Postgres cannot store";
  return text.isWellFormed() ? null : "holds half of a surrogate pair";
};

/** A value as a message shows it: itself if it is short, else its kind or its beginning. */
export const shown = (value: unknown): string => {
  if (value === undefined) return "nothing";
  if (value instanceof LongNumber) return value.source.slice(0, 60);
  if (value instanceof Unreadable) return value.shown;
  if (Array.isArray(value)) return "an array";
  if (isObject(value)) return "an object";
  const text = JSON.stringify(value) ?? String(value);
  return text.length <= 60 ? text : `${text.slice(0, 57)}...`;
};
