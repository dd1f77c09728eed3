// Every value of a JSON value with its path, and how deep they may lie.

import type { Issue } from "./errors.ts";
import { isObject } from "./json.ts";

export type Path = Issue["path"];

// Deeper than any strand or request, and well within what Postgres and the worker can read.
export const MAX_DEPTH = 200;

// A longer key is cut where it is told: it may be as long as a body, and be told for each value below it.
const MAX_SHOWN_KEY = 250;

/** A key in the path of an issue. */
export const shownKey = (key: string): string =>
  (key.length <= MAX_SHOWN_KEY ? key : `${key.slice(0, MAX_SHOWN_KEY)}...`).toWellFormed();

type Visit = (value: unknown, path: Readonly<Path>, key: string | null) => void;

/**
 * Visit a value, all that is in it, and the keys on the way; false if some of it lies deeper than
 * `MAX_DEPTH`. The path is of shown keys, and goes on changing: `visit` copies it to keep it.
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
