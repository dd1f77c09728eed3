// POST /functions/v1/sizing: how big an action should be, for one request or up to 1,000.

import { Database, type Resolution } from "../_shared/database.ts";
import { type Answer, type Call, endpoint } from "../_shared/endpoint.ts";
import { HttpError, invalid } from "../_shared/errors.ts";
import { isObject, shown } from "../_shared/json.ts";
import { readRequest, type SizingRequest } from "./request.ts";
import { answerOf } from "./size.ts";

const MAX_REQUESTS = 1000;
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
  const limit = matchLimit(call.url);
  const requests = bodies.map(readRequest);
  const { resolutions, failure } = await resolve(call, requests, limit);
  let next = 0;
  const answers = requests.map((request) => {
    if (request.resolve === null) return answerOf(request, null);
    return answerOf(request, resolutions?.[next++] ?? null, "unavailable");
  });
  const told = failure === null ? {} : { headers: { "x-pm-strength": "unavailable" }, failure };
  return { status: 200, body: many ? answers : answers[0], ...told };
};

/** The resolutions of the good requests, or why there are none: a bot must not stop for that. */
const resolve = async (
  { environment, caller }: Call,
  requests: SizingRequest[],
  limit: number,
): Promise<{ resolutions: Resolution[] | null; failure: string | null }> => {
  const good = requests.flatMap((request) => request.resolve === null ? [] : [request.resolve]);
  if (good.length === 0) return { resolutions: [], failure: null };
  try {
    return { resolutions: await new Database(environment, caller).resolve(good, limit), failure: null };
  } catch (error) {
    // a key without the right to read will not have it at the next try: answering 1 would hide that
    if (error instanceof HttpError && error.code === "forbidden") throw error;
    return { resolutions: null, failure: String(error) };
  }
};

const matchLimit = (url: URL): number => {
  const given = url.searchParams.get("matches");
  if (given === null) return SHOWN_MATCHES;
  const limit = /^\d{1,4}$/.test(given) ? Number(given) : Infinity;
  if (limit > MAX_MATCHES) {
    throw invalid([{ path: ["matches"], message: `expected a number from 0 to ${MAX_MATCHES}` }]);
  }
  return limit;
};

export const handler = endpoint("sizing", {
  POST: { callers: ["service", "user"], maxBytes: 8 * 1024 * 1024, answer },
});
