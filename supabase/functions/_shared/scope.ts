// Scopes: which of their keys are dimensions, and how large they may be. `worker/pm_strength/scopes.py` does
// the same in Python; both are tested with scopes.cases.json.

import type { Issue } from "./errors.ts";
import { isObject, shown, unstorable } from "./json.ts";
import { finite, isBeyondIntegers, LongNumber } from "./numbers.ts";
import { shownKey } from "./walk.ts";

type Scope = Record<string, unknown>;

// What a strand may hold.
const MAX_DIMENSIONS = 64;
const MAX_CHARACTERS = 200;
const MAX_BYTES = 16 * 1024;
// What may be asked for: the database needs seconds for a million dimensions, and may then be cut off before
// it comes to the other requests.
const MAX_ASKED_DIMENSIONS = 10_000;
// A scope may hold a million fields; nobody reads as many issues.
const MAX_ISSUES = 100;

/** The dimensions that an override could have. A scope that is not an object has none. */
export const dimensionsOf = (given: unknown): { scope: Scope } | { issues: Issue[] } => {
  const scope = isObject(given) ? given : {};
  const dimensions: [string, unknown][] = [];
  const issues: Issue[] = [];
  // one pass that ends at the limit: a scope may hold a million keys, and others wait meanwhile
  for (const key of Object.keys(scope)) {
    const value = scope[key];
    if (isBeyondIntegers(value)) {
      const message = `expected a whole number within 2^53, got ${shown(value)}`;
      if (issues.push({ path: [shownKey(key)], message }) === MAX_ISSUES) return { issues };
    } else if (
      isDimension(value) && isStorable(key, value) && dimensions.push([key, value]) > MAX_ASKED_DIMENSIONS
    ) {
      const message = `expected at most ${MAX_ASKED_DIMENSIONS} dimensions, got more`;
      return { issues: [{ path: [], message }] };
    }
  }
  return issues.length > 0 ? { issues } : { scope: Object.fromEntries(dimensions) };
};

/** What is over the limits in the scope of a strand. Values that are not dimensions only count as bytes. */
export const scopeIssues = (scope: Scope): Issue[] => {
  const issues: Issue[] = [];
  const dimensions = Object.entries(scope).filter(([, value]) => isDimension(value));
  if (dimensions.length > MAX_DIMENSIONS) {
    issues.push({
      path: [],
      message: `expected at most ${MAX_DIMENSIONS} dimensions, got ${dimensions.length}`,
    });
  }
  for (const [key, value] of dimensions) {
    const problem = dimensionProblem(key, value);
    if (problem !== null) issues.push({ path: [key], message: problem });
  }
  const bytes = new TextEncoder().encode(JSON.stringify(scope)).length;
  if (bytes > MAX_BYTES) {
    issues.push({ path: [], message: `expected at most ${MAX_BYTES} bytes, got ${bytes}` });
  }
  return issues;
};

/** Whether a value makes its key a dimension. */
const isDimension = (value: unknown): boolean =>
  typeof value === "boolean" || (typeof value === "string" && value !== "") ||
  typeof value === "number" || value instanceof LongNumber;

/** Whether Postgres can hold a dimension: no override has one that it cannot. */
const isStorable = (key: string, value: unknown): boolean =>
  unstorable(key) === null && (typeof value !== "string" || unstorable(value) === null) &&
  !(value instanceof LongNumber && finite(value) === null);

const dimensionProblem = (key: string, value: unknown): string | null => {
  if ([...key].length > MAX_CHARACTERS) return `expected a key of at most ${MAX_CHARACTERS} characters`;
  if (typeof value === "string") {
    return [...value].length > MAX_CHARACTERS ? `expected at most ${MAX_CHARACTERS} characters` : null;
  }
  if (typeof value === "boolean") return null;
  return value instanceof LongNumber || isBeyondIntegers(value)
    ? `expected a number that a double holds (integers to 2^53), got ${shown(value)}`
    : null;
};
