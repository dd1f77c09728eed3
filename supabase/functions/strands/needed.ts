// How long the fields of a strand are that capture reads.

import { isObject } from "../_shared/json.ts";
import { LongNumber, printedLength } from "../_shared/numbers.ts";

// The limit is the same in SQL: a strand that is over it cannot be learned from.
const MAX_BYTES = 1024 * 1024;

/** The issue if the fields that capture reads are too long; null if they are not. */
export const lengthIssue = (content: Record<string, unknown>, closes: boolean): string | null => {
  const needed = closes ? [content.trade_summary, content.entry_context] : [content.scope];
  const bytes = needed.reduce<number>((sum, field) => sum + (field === undefined ? 0 : jsonbBytes(field)), 0);
  return bytes > MAX_BYTES ? "expected at most 1 MB of trade_summary, entry_context and scope" : null;
};

/** The bytes of a JSON value as Postgres prints jsonb: a space after `:` and `,`, numbers written out. */
export const jsonbBytes = (value: unknown): number => {
  if (typeof value === "string") return textBytes(value);
  if (typeof value === "number" || value instanceof LongNumber) return printedLength(value);
  if (value === null || value === true) return 4;
  if (value === false) return 5;
  const inner = Array.isArray(value)
    ? value.map(jsonbBytes)
    : isObject(value)
    ? Object.entries(value).map(([key, item]) => textBytes(key) + 2 + jsonbBytes(item))
    : [];
  return 2 + inner.reduce((sum, bytes) => sum + bytes, 0) + 2 * Math.max(0, inner.length - 1);
};

const textBytes = (text: string): number => {
  let bytes = 2;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code < 0x20) bytes += [8, 9, 10, 12, 13].includes(code) ? 2 : 6;
    else if (code < 0x80) bytes += code === 0x22 || code === 0x5c ? 2 : 1;
    // each half of a surrogate pair is half of 4 bytes
    else bytes += code < 0x800 || (code >= 0xd800 && code < 0xe000) ? 2 : 3;
  }
  return bytes;
};
