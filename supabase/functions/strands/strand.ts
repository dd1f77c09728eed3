// Checks strands before any of them is written, and names every field that capture would refuse. Capture is
// tested with the same strand.cases.json.

import { z } from "zod";
import { canonicalActionCategory } from "../_shared/patterns.ts";
import type { Issue } from "../_shared/errors.ts";
import { expected, issuesOf } from "../_shared/fields.ts";
import { isObject, shown, unstorable } from "../_shared/json.ts";
import { finite, isStorable, LongNumber, Unreadable } from "../_shared/numbers.ts";
import { MAX_DEPTH, type Path, walk } from "../_shared/walk.ts";
import { allColumnsIssue, columnIssues } from "./columns.ts";
import { lengthIssue } from "./needed.ts";
import { scopeIssues } from "../_shared/scope.ts";

export const MAX_STRANDS = 1000;
const MAX_ID = 500;
const MAX_BIGINT = 2 ** 63;
const MAX_PATTERN_KEY = 500;
// Nobody reads more, and more could make the answer far longer than the body.
const MAX_ISSUES = 1000;

type Strand = Record<string, unknown>;
type Content = Record<string, unknown>;
type Report = (path: Path, message: string) => void;

const text = z.string(expected("a text")).min(1, expected("a text that is not empty"));
const optionalText = z.string(expected("a text or null")).nullish();
const isId = (value: unknown): boolean => {
  if (typeof value === "string") return value !== "" && length(value) <= MAX_ID;
  if (typeof value === "number") return Number.isInteger(value) && Math.abs(value) < MAX_BIGINT;
  // a bigint holds more integers than a double does
  return value instanceof LongNumber && /^-?\d{16,19}$/.test(value.source) &&
    BigInt.asIntN(64, BigInt(value.source)) === BigInt(value.source);
};

const fields = z.looseObject({
  id: z.custom(
    (value) => isId(value),
    expected(`a text of 1 to ${MAX_ID} characters, or an integer of 64 bits`),
  ),
  module: text,
  kind: text,
  content: z.custom(isObject, expected("an object")),
  symbol: optionalText,
  timeframe: optionalText,
  position_id: optionalText,
  trade_id: optionalText,
  created_at: z.custom((value) => isTime(value), expected("an ISO 8601 time or null")).nullish(),
}, expected("a strand, which is an object"));

/** The strands of a body, which is one or an array of them; or every field of it that is wrong. */
export const readStrands = (body: unknown): { strands: Strand[] } | { issues: Issue[] } => {
  const many = Array.isArray(body);
  const given: unknown[] = many ? body : [body];
  if (given.length > MAX_STRANDS) {
    return {
      issues: [{ path: [], message: `expected at most ${MAX_STRANDS} strands, got ${given.length}` }],
    };
  }
  const issues: Issue[] = [];
  const seen = new Map<string, string>();
  given.forEach((value, index) => {
    const told = new Set<string>();
    const report: Report = (path, message) => {
      if (issues.length >= MAX_ISSUES) return;
      // a field is reported once, for the first rule that it breaks
      if (!told.has(JSON.stringify(path))) issues.push({ path: many ? [index, ...path] : path, message });
      told.add(JSON.stringify(path));
    };
    const strand = checkStrand(value, report);
    if (strand === null) return;
    const id = String(strand.id instanceof LongNumber ? strand.id.source : strand.id);
    const same = JSON.stringify(strand);
    const before = seen.get(id);
    if (before !== undefined && before !== same) {
      report(["id"], `expected each id once, got two different strands with ${shown(id)}`);
    }
    seen.set(id, same);
  });
  if (issues.length > 0) return { issues };
  const strands = given as Strand[];
  const columns = allColumnsIssue(strands);
  return columns === null ? { strands } : { issues: [columns] };
};

const checkStrand = (value: unknown, report: Report): Strand | null => {
  if (!walk(value, (item, path, key) => checkStorable(item, path, key, report))) {
    report([], `expected at most ${MAX_DEPTH} levels, got more`);
    return null;
  }
  if (isObject(value)) { for (const { path, message } of columnIssues(value)) report(path, message); }
  const checked = fields.safeParse(value);
  if (!checked.success) {
    for (const { path, message } of issuesOf(checked.error)) report(path, message);
    return null;
  }
  const strand = value as Strand;
  if (strand.module === "pm") checkLearnable(strand, strand.content as Content, report);
  return strand;
};

const checkLearnable = (strand: Strand, content: Content, report: Report): void => {
  const closes = strand.kind === "position_closed";
  if (!closes && strand.kind !== "pm_action") return;
  // an action without both makes no event, so its content may be anything
  const learnable = closes || (content.pattern_key != null && content.action_category != null);
  checkTrade(strand, content, learnable, report);
  if (!learnable) return;
  const tooLong = lengthIssue(content, closes);
  if (tooLong !== null) report(["content"], tooLong);
  else if (closes) checkClose(content, report);
  else checkAction(content, report);
};

const checkTrade = (strand: Strand, content: Content, needed: boolean, report: Report): void => {
  const column = tradeOf(["trade_id"], strand.trade_id, report);
  const inner = tradeOf(["content", "trade_id"], content.trade_id, report);
  if (needed && column === null && inner === null) {
    report(["trade_id"], "expected a uuid here or in content.trade_id, got nothing");
  }
  if (column && inner && column !== inner) {
    report(["trade_id"], `expected the uuid that content.trade_id has, got ${shown(strand.trade_id)}`);
  }
};

/** The hex digits of a uuid; null if there is no value, undefined if it is not a uuid. */
const tradeOf = (path: Path, value: unknown, report: Report): string | null | undefined => {
  if (value == null) return null;
  const digits = typeof value === "string" && value.length <= 36
    ? value.replaceAll("-", "").toLowerCase()
    : "";
  if (/^[0-9a-f]{32}$/.test(digits)) return digits;
  report(path, `expected a uuid, got ${shown(value)}`);
  return undefined;
};

const checkClose = (content: Content, report: Report): void => {
  const summary = content.trade_summary;
  if (!isObject(summary)) {
    report(["content", "trade_summary"], `expected an object, got ${shown(summary)}`);
  } else {
    const check = (names: string[], good: (value: unknown) => boolean, what: string) => {
      for (const name of names) {
        if (!good(summary[name])) {
          report(["content", "trade_summary", name], `expected ${what}, got ${shown(summary[name])}`);
        }
      }
    };
    check(["rr"], (value) => finite(value) !== null, "a finite number");
    check(
      ["pnl_usd", "rpnl_pct"],
      (value) => value == null || finite(value) !== null,
      "a finite number or null",
    );
    check(
      ["trimmed", "reached_s3"],
      (value) => value == null || typeof value === "boolean",
      "true, false or null",
    );
    check(["exit_timestamp"], (value) => value == null || isTime(value), "an ISO 8601 time or null");
  }
  if (content.entry_context != null && !isObject(content.entry_context)) {
    report(["content", "entry_context"], `expected an object or null, got ${shown(content.entry_context)}`);
  }
};

const checkAction = (content: Content, report: Report): void => {
  const { pattern_key: key, action_category: category, scope } = content;
  if (typeof key !== "string" || key === "" || length(key) > MAX_PATTERN_KEY) {
    report(
      ["content", "pattern_key"],
      `expected a text of 1 to ${MAX_PATTERN_KEY} characters, got ${shown(key)}`,
    );
  }
  if (canonicalActionCategory(category) === null) {
    report(
      ["content", "action_category"],
      `expected entry, add, trim, exit or an alias of one, got ${shown(category)}`,
    );
  }
  if (scope == null) return;
  if (!isObject(scope)) {
    report(["content", "scope"], `expected an object or null, got ${shown(scope)}`);
    return;
  }
  for (const { path, message } of scopeIssues(scope)) report(["content", "scope", ...path], message);
};

/** Report a value or its key if jsonb cannot hold it. */
const checkStorable = (value: unknown, path: Readonly<Path>, key: string | null, report: Report): void => {
  const wrong = key === null ? null : unstorable(key);
  if (wrong !== null) {
    report([...path.slice(0, -1), String(path.at(-1)).replaceAll("\u0000", "")], `the key ${wrong}`);
  }
  if (typeof value === "string") {
    const problem = unstorable(value);
    if (problem !== null) report([...path], `the text ${problem}`);
  } else if (value instanceof Unreadable) {
    report([...path], `expected ${value.expected}, got ${value.shown}`);
  } else if (value instanceof LongNumber && !isStorable(value)) {
    report([...path], "expected a number that Postgres can store");
  }
};

const TIME =
  /^(\d{4})-(\d{2})-(\d{2})(?:[T ](\d{2}):(\d{2})(?::(\d{2})(?:[.,]\d+)?)?(?:Z|[+-]\d{2}(?::?\d{2})?)?)?$/;

/** Whether a value is a date of the calendar, with or without a time. */
const isTime = (value: unknown): boolean => {
  const parts = typeof value === "string"
    ? TIME.exec(value)?.slice(1).map((part) => Number(part ?? 0))
    : undefined;
  if (parts === undefined) return false;
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = parts;
  const date = new Date(0);
  date.setUTCFullYear(year, month - 1, day);
  return year > 0 && date.getUTCMonth() === month - 1 && date.getUTCDate() === day &&
    hour < 24 && minute < 60 && second < 60;
};

/** In characters, as Python and Postgres count them. */
const length = (value: string): number => [...value].length;
