// One sizing request: what of it the database is asked, and what its size is worked out from.

import { z } from "zod";
import type { ResolveRequest } from "../_shared/database.ts";
import type { Issue } from "../_shared/errors.ts";
import { expected, issuesOf, moduleName } from "../_shared/fields.ts";
import { isObject, shown, unstorable } from "../_shared/json.ts";
import { nearest, Unreadable } from "../_shared/numbers.ts";
import {
  canonicalActionCategory,
  type Category,
  generateCanonicalPatternKey,
  PatternKeyError,
} from "../_shared/patterns.ts";
import { dimensionsOf } from "../_shared/scope.ts";
import { MAX_DEPTH, walk } from "../_shared/walk.ts";

const STRATEGIES = ["blend", "most_specific", "sum"];
// The first of them that a request has names its category, as in `apply_strength` of the library.
const CATEGORY_NAMES = ["action_category", "action_type", "decision_type"];
// A request may hold a million fields; nobody reads as many issues.
const MAX_ISSUES = 100;

type Row = Record<string, unknown>;
/** A request that can be resolved, or what is wrong with it; the size is worked out either way. */
export type SizingRequest = { resolve: ResolveRequest | null; issues: Issue[]; size: Size };
/** `before` is the size_frac as it came, undefined if none came. */
export type Size = { category: Category | null; before: unknown; skew: number };

const isText = (value: unknown): value is string =>
  typeof value === "string" && value !== "" && unstorable(value) === null;
/** A field that may be missing or null. */
const optional = (good: (value: unknown) => boolean, what: string) =>
  z.custom(good, expected(what)).nullish();
const flags = optional(isObject, "an object or null");

const fields = z.looseObject({
  module: moduleName,
  pattern_key: optional(isText, "a text that is not empty"),
  action_context: flags,
  uptrend_signals: flags,
  trade_id: optional(isText, "a text that is not empty"),
  strategy: optional((value) => STRATEGIES.includes(value as string), "blend, most_specific or sum"),
}, expected("a request, which is an object"));

/** One request of a body. A scope that is not an object counts as {}, as everywhere. */
export const readRequest = (value: unknown): SizingRequest => {
  const row: Row = isObject(value) ? value : {};
  const named = CATEGORY_NAMES.find((name) => row[name] != null);
  const category = named === undefined ? null : canonicalActionCategory(row[named]);
  const size = { category, before: row.size_frac, skew: nearest(row.exposure_skew) ?? 1 };
  const refused = (issues: Issue[]) => ({ resolve: null, issues: issues.slice(0, MAX_ISSUES), size });
  const unreadable = unreadableIssues(value);
  if (unreadable.length > 0) return refused(unreadable);
  const checked = fields.safeParse(value);
  const issues = checked.success ? [] : issuesOf(checked.error);
  if (named !== undefined && category === null) {
    const message = `expected entry, add, trim, exit or an alias of one, got ${shown(row[named])}`;
    issues.push({ path: [named], message });
  }
  if (issues.length > 0) return refused(issues);
  const module = (row.module ?? "pm") as string;
  const group = groupOf(row, module, category);
  if ("issues" in group) return refused(group.issues);
  const dimensions = dimensionsOf(row.scope);
  if ("issues" in dimensions) {
    return refused(dimensions.issues.map(({ path, message }) => ({ path: ["scope", ...path], message })));
  }
  const strategy = (row.strategy ?? null) as string | null;
  const trade_id = (row.trade_id ?? null) as string | null;
  return { resolve: { module, ...group, scope: dimensions.scope, strategy, trade_id }, issues: [], size };
};

/** What is not read of a value: numbers that are too long, and what lies too deep. */
export const unreadableIssues = (value: unknown): Issue[] => {
  const issues: Issue[] = [];
  const held = walk(value, (inner, path) => {
    if (!(inner instanceof Unreadable) || issues.length >= MAX_ISSUES) return;
    issues.push({ path: [...path], message: `expected ${inner.expected}, got ${inner.shown}` });
  });
  return held ? issues : [{ path: [], message: `expected at most ${MAX_DEPTH} levels, got more` }];
};

type Group = { pattern_key: string; action_category: Category };

/** The group of a request: its pattern_key with its category, or both made of its action type. */
const groupOf = (row: Row, module: string, category: Category | null): Group | { issues: Issue[] } => {
  const wrong = (name: string, message: string) => ({ issues: [{ path: [name], message }] });
  if (row.pattern_key != null) {
    if (category !== null) return { pattern_key: row.pattern_key as string, action_category: category };
    return wrong("action_category", "expected one beside the pattern_key, got nothing");
  }
  const typed = ["action_type", "decision_type"].find((name) => row[name] != null);
  if (typed === undefined) {
    return wrong("pattern_key", "expected a pattern_key or an action_type, got neither");
  }
  try {
    const made = generateCanonicalPatternKey(
      module,
      row[typed],
      row.action_context as Row,
      row.uptrend_signals as Row,
    );
    if (made.actionCategory !== category) {
      const message = `expected ${made.actionCategory}, as the ${typed} is, got ${category}`;
      return wrong("action_category", message);
    }
    if (unstorable(made.patternKey) !== null) {
      return wrong("action_context", "expected texts that Postgres can hold");
    }
    return { pattern_key: made.patternKey, action_category: made.actionCategory };
  } catch (error) {
    if (!(error instanceof PatternKeyError)) throw error;
    const [field = "", message = ""] = error.message.split(/: (.*)/s);
    return { issues: [{ path: field === "action_type" ? [typed] : field.split("."), message }] };
  }
};
