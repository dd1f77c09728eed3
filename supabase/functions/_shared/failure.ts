// What a failed call to the database means for the caller: whether another try is worth it, and if not,
// whether the caller or the request is at fault. `worker/pm_strength/project/retry.py` decides the same for
// the worker; both are tested with retry.cases.json.

import { forbidden, type HttpError, invalid, unavailable } from "./errors.ts";

// Postgres classes: connection, rollback (serialization, deadlock), resources, intervention (shutdown,
// cancel), system and internal errors.
const TRANSIENT_CLASSES = ["08", "40", "53", "57", "58", "XX"];
// A lock that somebody holds, a database that only reads for now, and what PostgREST does not know while its
// copy of the schema is old.
const TRANSIENT_CODES = ["55P03", "25006", "PGRST200", "PGRST202", "PGRST205"];
const TRANSIENT_STATUSES = [408, 425, 429];
// Data, constraints, syntax and rights, limits, a state that forbids the call, `raise`. PostgREST gives some
// of them a 500, but the same call will meet the same answer.
const PERMANENT_CLASSES = ["0A", "21", "22", "23", "28", "42", "54", "55", "P0"];
// A connection that was open while a table changed; PostgREST closes it then.
const STALE_PLAN = "cached plan must not change result type";
// A gateway's answer to a request that is longer than it takes.
const TOO_LONG_STATUSES = [413, 414, 431];

/**
 * The error for a call that failed. `status` is 0 if there was no answer. `code` is a code of Postgres or
 * PostgREST; gateways put numbers in its place, which count as none, as an empty text does.
 */
export const failure = (status: number, code: unknown, message: string): HttpError => {
  const known = typeof code === "string" ? code : "";
  if (isTransient(status, known, message)) return unavailable();
  if (known === "") {
    return TOO_LONG_STATUSES.includes(status)
      ? invalid([{ path: [], message: "expected less in one request" }])
      : forbidden(`Something in front of the database refuses this project's functions (status ${status}).`);
  }
  if (isForbidden(status, known)) return forbidden("The database does not let this key or token do that.");
  if (known === "PGRST204") {
    return invalid([{ path: [columnOf(message)], message: "expected a column of ad_strands" }]);
  }
  // our own SQL names the argument at fault first
  const [, argument, problem] = known === "22023" && /^(\w+): (expected .*)$/s.exec(message) || [];
  return invalid([argument && problem ? { path: [argument], message: problem } : { path: [], message }]);
};

const isTransient = (status: number, code: string, message: string): boolean => {
  if (status === 0 || TRANSIENT_STATUSES.includes(status)) return true;
  // PostgREST gives a 400 without a code where its own connection to Postgres broke off
  if (code === "") return status === 400 || status >= 500;
  const sqlClass = code.length === 5 ? code.slice(0, 2) : "";
  if (
    TRANSIENT_CLASSES.includes(sqlClass) || TRANSIENT_CODES.includes(code) || code.startsWith("PGRST0") ||
    (code === "0A000" && message.startsWith(STALE_PLAN))
  ) return true;
  return status >= 500 && !PERMANENT_CLASSES.includes(sqlClass) && !/^PGRST[123]/.test(code);
};

const isForbidden = (status: number, code: string): boolean =>
  status === 401 || status === 403 || code === "42501" || /^(28...|PGRST3..)$/.test(code);

/** The column that a table lacks: PostgREST 12 words it one way, later versions the other. */
const columnOf = (message: string): string =>
  /(?:column '(.*)' of|the '(.*)' column of)/is.exec(message)?.slice(1).find(Boolean) ?? "";
