// POST /functions/v1/sizing: how big an action should be, for one request or up to 1,000.

import { Database, type Resolution } from "../_shared/database.ts";
import { type Answer, type Call, endpoint } from "../_shared/endpoint.ts";
import { HttpError, invalid } from "../_shared/errors.ts";
import { isObject, shown } from "../_shared/json.ts";
import { answerOf, type Item, MAX_REQUESTS, readItem } from "./sizing.ts";

// As many as resolve_pm_strength shows.
const SHOWN_MATCHES = 20;
const MAX_MATCHES = 1000;

const answer = async (call: Call): Promise<Answer> => {
  const many = Array.isArray(call.body);
  if (!many && !isObject(call.body)) {
    throw invalid([{ path: [], message: `expected a request or an array of them, got ${shown(call.body)}` }]);
  }
  const bodies: unknown[] = many ? call.body as unknown[] : [call.body];
  if (bodies.length > MAX_REQUESTS) {
    throw invalid([{ path: [], message: `expected at most ${MAX_REQUESTS} requests, got ${bodies.length}` }]);
  }
  const matches = matchLimit(call.url);
  const items = bodies.map(readItem);
  const { resolutions, failure } = await resolve(call, items, matches);
  let next = 0;
  const answers = items.map((item) => {
    if (item.request === null) return answerOf(item, null);
    return answerOf(item, resolutions?.[next++] ?? null, "unavailable");
  });
  const told = failure === null ? {} : { headers: { "x-pm-strength": "unavailable" }, failure };
  return { status: 200, body: many ? answers : answers[0], ...told };
};

/** What the good requests resolve to, or why nothing can be said: a bot must not stop for that. */
const resolve = async (
  { environment, caller }: Call,
  items: Item[],
  matches: number,
): Promise<{ resolutions: Resolution[] | null; failure: string | null }> => {
  const requests = items.flatMap((item) => item.request === null ? [] : [item.request]);
  if (requests.length === 0) return { resolutions: [], failure: null };
  try {
    return { resolutions: await new Database(environment, caller).resolve(requests, matches), failure: null };
  } catch (error) {
    // a key that may not read will not do so later either: that is no 1.0 that passes
    if (error instanceof HttpError && error.code === "forbidden") throw error;
    return { resolutions: null, failure: String(error) };
  }
};

const matchLimit = (url: URL): number => {
  const given = url.searchParams.get("matches");
  if (given === null) return SHOWN_MATCHES;
  const wanted = /^\d{1,4}$/.test(given) ? Number(given) : Infinity;
  if (wanted > MAX_MATCHES) {
    throw invalid([{ path: ["matches"], message: `expected a number from 0 to ${MAX_MATCHES}` }]);
  }
  return wanted;
};

Deno.serve(endpoint("sizing", {
  POST: { callers: ["service", "user"], maxBytes: 8 * 1024 * 1024, answer },
}));
