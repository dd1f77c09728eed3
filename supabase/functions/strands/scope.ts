// The limits of a scope, as `worker/pm_strength/scopes.py` has them.

import type { Issue } from "../_shared/errors.ts";
import { shown } from "../_shared/json.ts";
import { finite, LongNumber } from "../_shared/numbers.ts";

const MAX_DIMENSIONS = 64;
const MAX_CHARACTERS = 200;
const MAX_BYTES = 16 * 1024;
const MAX_INTEGER = 2 ** 53;

/** What is over the limits in a scope. What is no dimension is left alone, as it is never compared. */
export const scopeIssues = (scope: Record<string, unknown>): Issue[] => {
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

const dimensionProblem = (key: string, value: unknown): string | null => {
  if ([...key].length > MAX_CHARACTERS) return `expected a key of at most ${MAX_CHARACTERS} characters`;
  if (typeof value === "string") {
    return [...value].length > MAX_CHARACTERS ? `expected at most ${MAX_CHARACTERS} characters` : null;
  }
  if (typeof value === "boolean") return null;
  const number = finite(value);
  const survives = typeof value === "number" && number !== null && Number.isFinite(number);
  const whole = number !== null && Number.isInteger(number);
  return survives && !(whole && Math.abs(number) > MAX_INTEGER)
    ? null
    : `expected a number that a double holds (integers to 2^53), got ${shown(value)}`;
};
