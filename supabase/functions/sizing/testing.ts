// For tests: a request, what the database answers, and how an answer explains its size.

import type { Resolution } from "../_shared/database.ts";

export const KEY = { pattern_key: "p", action_category: "entry" };
export const RESOLUTION: Resolution = {
  multiplier: 1.5,
  reason: "matched",
  matched: 1,
  matches: [{ id: 1 }],
  run_id: 7,
  strategy: "blend",
  as_of: "2026-01-05T10:10:00+00:00",
};
/** What explains a size that no skew changed. */
export const strength = (
  multiplier: number,
  reason = "matched",
  size_frac_before: number | null = null,
  run_id: number | null = 7,
) => ({ multiplier, reason, exposure_skew: 1, size_frac_before, run_id });
