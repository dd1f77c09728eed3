// From a multiplier to a size, as `worker/pm_strength/runtime/sizing.py` does it in Python. Both are tested
// with sizing.cases.json.

import type { Resolution } from "../_shared/database.ts";
import type { Issue } from "../_shared/errors.ts";
import { shown } from "../_shared/json.ts";
import { finite, nearest } from "../_shared/numbers.ts";
import { type Size, type SizingRequest, unreadableIssues } from "./request.ts";

const SIZED_CATEGORIES = ["entry", "add"];

type Row = Record<string, unknown>;

/** The answer to one request; without a resolution the multiplier is 1, for the reason given. */
export const answerOf = (
  { size, issues: wrong }: SizingRequest,
  resolution: Resolution | null,
  otherwise = "bad_input",
): Row => {
  const given = finite(resolution?.multiplier);
  const multiplier = given ?? 1;
  const sized = sizeOf(size, multiplier);
  const issues = [...wrong, ...sized.issues];
  const resolved = resolution === null ? otherwise : given === null ? "bad_input" : resolution.reason;
  const reason = issues.length > 0 ? "bad_input" : resolved;
  const run_id = resolution?.run_id ?? null;
  return {
    size_frac: sized.size_frac,
    strength: {
      multiplier,
      reason,
      exposure_skew: size.skew,
      size_frac_before: sized.before,
      run_id,
      ...scoresOf(size, resolution),
    },
    reason,
    strategy: resolution?.strategy ?? null,
    matched: resolution?.matched ?? 0,
    matches: resolution?.matches ?? [],
    run_id,
    as_of: resolution?.as_of ?? null,
    ...(issues.length > 0 ? { error: messageOf(issues), issues } : {}),
  };
};

/** What the bot multiplies its A and E scores by, and what the other role would have said. */
const scoresOf = ({ category }: Size, resolution: Resolution | null): Row => {
  if (category === null || !SIZED_CATEGORIES.includes(category)) return {};
  const a_multiplier = finite(resolution?.a_multiplier);
  const e_multiplier = finite(resolution?.e_multiplier);
  return {
    ...(a_multiplier === null ? {} : { a_multiplier }),
    ...(e_multiplier === null ? {} : { e_multiplier }),
    ...besideOf(resolution),
  };
};

const besideOf = (resolution: Resolution | null): Row => {
  const beside = resolution?.beside;
  if (beside === undefined) return {};
  const { role, multiplier, reason } = beside;
  return { role: resolution?.role, beside: { role, multiplier, reason } };
};

type Sized = { size_frac: unknown; before: number | null; issues: Issue[] };

/** size_frac * multiplier * exposure_skew within [0, 1] for an entry or an add; anything else as it came. */
const sizeOf = ({ category, before: given, skew }: Size, multiplier: number): Sized => {
  if (given === undefined) return { size_frac: null, before: null, issues: [] };
  const before = nearest(given);
  if (category === null || !SIZED_CATEGORIES.includes(category)) {
    // what was not read cannot be given back; the issues of the request name it
    const readable = unreadableIssues(given).length === 0;
    return { size_frac: readable ? given : null, before, issues: [] };
  }
  if (before === null) {
    const message = `expected a finite number, got ${shown(given)}`;
    return { size_frac: 0, before: 0, issues: [{ path: ["size_frac"], message }] };
  }
  const sized = before * multiplier * skew;
  // beyond all doubles, times a skew of 0
  const size_frac = Number.isNaN(sized) ? 0 : Math.min(1, Math.max(0, sized));
  return { size_frac, before, issues: [] };
};

const messageOf = (issues: Issue[]): string =>
  issues.map(({ path, message }) => `${path.join(".") || "request"}: ${message}`).join("; ");
