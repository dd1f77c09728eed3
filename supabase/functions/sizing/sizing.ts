// From a request to what the database is asked, and from its resolution to a size
// (`worker/pm_strength/sizing.py` does the same in Python).

import { z } from "zod";
import type { Resolution, ResolveRequest } from "../_shared/database.ts";
import type { Issue } from "../_shared/errors.ts";
import { expected, issuesOf } from "../_shared/fields.ts";
import { isObject, shown, unstorable } from "../_shared/json.ts";
import { finite, isBeyondIntegers, LongNumber, Unreadable } from "../_shared/numbers.ts";
import {
  canonicalActionCategory,
  generateCanonicalPatternKey,
  PatternKeyError,
} from "../_shared/patterns.ts";
import { MAX_DEPTH, shownKey, walk } from "../_shared/walk.ts";

export const MAX_REQUESTS = 1000;
const SIZED = ["entry", "add"];
const STRATEGIES = ["blend", "most_specific"];
// The database takes seconds for a million of them, and may be cut off before it comes to the other requests.
const MAX_DIMENSIONS = 10_000;
// A request may hold a million fields; nobody reads as many issues.
const MAX_ISSUES = 100;

type Row = Record<string, unknown>;
/** A request that can be resolved, or what is wrong with it; the size is worked out either way. */
export type Item = { request: ResolveRequest | null; issues: Issue[]; size: Size };
type Size = { category: string | null; given: boolean; before: unknown; skew: number };

const isText = (value: unknown): value is string =>
  typeof value === "string" && value !== "" && unstorable(value) === null;
/** A field that may be missing or null. */
const optional = (good: (value: unknown) => boolean, what: string) =>
  z.custom(good, expected(what)).nullish();
const flags = optional(isObject, "an object or null");
const isKnown = (value: unknown): boolean => canonicalActionCategory(value) !== null;

const fields = z.looseObject({
  pattern_key: optional(isText, "a text that is not empty"),
  action_type: optional(isKnown, "a known action type"),
  action_category: optional(isKnown, "entry, add, trim, exit or an alias of one"),
  action_context: flags,
  uptrend_signals: flags,
  strategy: optional((value) => STRATEGIES.includes(value as string), STRATEGIES.join(" or ")),
}, expected("a request, which is an object"));

/** One request of a body. A scope that is no object is {}, as everywhere. */
export const readItem = (value: unknown): Item => {
  const row: Row = isObject(value) ? value : {};
  const category = canonicalActionCategory(row.action_category ?? row.action_type);
  const size = {
    category,
    given: Object.hasOwn(row, "size_frac"),
    before: row.size_frac,
    skew: finite(row.exposure_skew) ?? 1,
  };
  const refused = (issues: Issue[]) => ({ request: null, issues: issues.slice(0, MAX_ISSUES), size });
  const unreadable = unreadableIssues(value);
  if (unreadable.length > 0) return refused(unreadable);
  const checked = fields.safeParse(value);
  if (!checked.success) return refused(issuesOf(checked.error));
  const key = keyOf(row, category);
  if ("issues" in key) return refused(key.issues);
  const dimensions = dimensionsOf(row.scope);
  if ("issues" in dimensions) return refused(dimensions.issues);
  const request = {
    ...key,
    scope: dimensions.scope,
    strategy: typeof row.strategy === "string" ? row.strategy : null,
  };
  return { request, issues: [], size };
};

/** What one item is answered; without a resolution the strength is 1, for the reason given. */
export const answerOf = (item: Item, resolution: Resolution | null, otherwise = "bad_input"): Row => {
  const strength = finite(resolution?.multiplier) ?? 1;
  const sized = sizeOf(item.size, strength);
  const issues = [...item.issues, ...sized.issues];
  return {
    strength,
    size_frac: sized.size_frac,
    reason: issues.length > 0 ? "bad_input" : resolution?.reason ?? otherwise,
    matched: resolution?.matched ?? 0,
    matches: resolution?.matches ?? [],
    run_id: resolution?.run_id ?? null,
    as_of: resolution?.as_of ?? null,
    ...(issues.length > 0 ? { error: messageOf(issues), issues } : {}),
  };
};

/** size_frac * strength * exposure_skew within [0, 1] for an entry or an add; anything else as it came. */
const sizeOf = (size: Size, strength: number): { size_frac: unknown; issues: Issue[] } => {
  if (!size.given) return { size_frac: null, issues: [] };
  if (size.category === null || !SIZED.includes(size.category)) {
    // what was not read cannot be given back; the item's own issues tell of it
    const readable = unreadableIssues(size.before).length === 0;
    return { size_frac: readable ? size.before : null, issues: [] };
  }
  const before = finite(size.before);
  if (before === null) {
    const message = `expected a finite number, got ${shown(size.before)}`;
    return { size_frac: 0, issues: [{ path: ["size_frac"], message }] };
  }
  const sized = before * strength * size.skew;
  return { size_frac: Number.isNaN(sized) ? 0 : Math.min(1, Math.max(0, sized)), issues: [] };
};

type Key = { pattern_key: string; action_category: string };

const keyOf = (row: Row, category: string | null): Key | { issues: Issue[] } => {
  const wrong = (name: string, message: string) => ({ issues: [{ path: [name], message }] });
  if (row.pattern_key != null) {
    if (category === null) return wrong("action_category", "expected one with a pattern_key, got nothing");
    return { pattern_key: row.pattern_key as string, action_category: category };
  }
  if (row.action_type == null) {
    return wrong("pattern_key", "expected a pattern_key or an action_type, got neither");
  }
  try {
    const made = generateCanonicalPatternKey(
      "pm",
      row.action_type,
      row.action_context as Row,
      row.uptrend_signals as Row,
    );
    if (made.actionCategory !== category) {
      return wrong(
        "action_category",
        `expected ${made.actionCategory}, which the action_type is, got ${category}`,
      );
    }
    if (unstorable(made.patternKey) !== null) {
      return wrong("action_context", "expected texts that Postgres can hold");
    }
    return { pattern_key: made.patternKey, action_category: made.actionCategory };
  } catch (error) {
    if (!(error instanceof PatternKeyError)) throw error;
    const [name = "", message = ""] = error.message.split(/: (.*)/s);
    return { issues: [{ path: name.split("."), message }] };
  }
};

const unreadableIssues = (value: unknown): Issue[] => {
  const issues: Issue[] = [];
  const held = walk(value, (item, path) => {
    if (!(item instanceof Unreadable) || issues.length >= MAX_ISSUES) return;
    issues.push({ path: [...path], message: `expected ${item.expected}, got ${item.shown}` });
  });
  return held ? issues : [{ path: [], message: `expected at most ${MAX_DEPTH} levels, got more` }];
};

/** The dimensions of a scope that some override could have: what Postgres cannot hold is in none. */
const dimensionsOf = (scope: unknown): { scope: Row } | { issues: Issue[] } => {
  const given = isObject(scope) ? scope : {};
  const dimensions: [string, unknown][] = [];
  const issues: Issue[] = [];
  // one pass that ends at the limit: a scope may hold a million of them, and others wait meanwhile
  for (const key of Object.keys(given)) {
    const value = given[key];
    if (isBeyondIntegers(value)) {
      const message = `expected a whole number within 2^53, got ${shown(value)}`;
      if (issues.push({ path: ["scope", shownKey(key)], message }) === MAX_ISSUES) return { issues };
    } else if (isDimension(key, value) && dimensions.push([key, value]) > MAX_DIMENSIONS) {
      const message = `expected at most ${MAX_DIMENSIONS} dimensions, got more`;
      return { issues: [{ path: ["scope"], message }] };
    }
  }
  return issues.length > 0 ? { issues } : { scope: Object.fromEntries(dimensions) };
};

const isDimension = (key: string, value: unknown): boolean =>
  (isText(value) || typeof value === "boolean" || isNumber(value)) && unstorable(key) === null;

const isNumber = (value: unknown): boolean =>
  typeof value === "number" || (value instanceof LongNumber && finite(value) !== null && finite(value) !== 0);

const messageOf = (issues: Issue[]): string =>
  issues.map(({ path, message }) => `${path.join(".") || "request"}: ${message}`).join("; ");
