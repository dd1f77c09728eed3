// Goes through a JSON value: all values in it with their paths, down to a depth that is enough for anyone.

import type { Issue } from "./errors.ts";
import { isObject } from "./json.ts";

export type Path = Issue["path"];

// Deeper than any strand or request, and well within what Postgres and the worker can read.
export const MAX_DEPTH = 200;

// An issue shows so much of a key. A key may be as long as a body, and is in the path of each value below it.
const MAX_SHOWN_KEY = 250;

/** A key in the path of an issue. */
export const shownKey = (key: string): string =>
  (key.length <= MAX_SHOWN_KEY ? key : `${key.slice(0, MAX_SHOWN_KEY)}...`).toWellFormed();

type Visit = (value: unknown, path: Readonly<Path>, key: string | null) => void;

/**
 * Call `visit` with a value and with each value in it, its path and its key. Returns false if some of them
 * lie deeper than `MAX_DEPTH`. The path shows keys as `shownKey` does. It changes after the call, so `visit`
 * copies it to keep it.
 */
export const walk = (value: unknown, visit: Visit, path: Path = [], key: string | null = null): boolean => {
  if (path.length > MAX_DEPTH) return false;
  visit(value, path, key);
  const within = (inner: unknown, place: string | number, name: string | null): boolean => {
    path.push(place);
    const held = walk(inner, visit, path, name);
    path.pop();
    return held;
  };
  if (Array.isArray(value)) return value.every((inner, index) => within(inner, index, null));
  return !isObject(value) || Object.keys(value).every((name) => within(value[name], shownKey(name), name));
};
