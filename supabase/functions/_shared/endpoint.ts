// What all functions do before and after their own work: check who calls, read the body, add CORS headers and
// a request id, give errors one shape, and write one line to the log.

import { type Caller, identify } from "./auth.ts";
import { type Environment, EnvironmentError, readEnvironment } from "./environment.ts";
import { forbidden, HttpError } from "./errors.ts";
import { parseJson } from "./json_reader.ts";

export type Call = { caller: Caller; body: unknown; environment: Environment; url: URL };
/** `failure`: what went wrong even though there is an answer. Only the log shows it. */
export type Answer = { status: number; body: unknown; headers?: Record<string, string>; failure?: string };
export type Route = {
  /** Who may call. A user needs the claim to read as well. */
  callers: Caller["kind"][];
  maxBytes: number;
  /** Whether a request may come without a body. */
  bodyOptional?: boolean;
  answer: (call: Call) => Promise<Answer>;
};

const ALLOWED_HEADERS = "authorization, apikey, content-type, x-client-info, x-request-id";
const EXPOSED_HEADERS = "x-request-id, x-pm-strength, retry-after";

/** The handler of a function with a route for each method. */
export const endpoint =
  (name: string, routes: Record<string, Route>) => async (request: Request): Promise<Response> => {
    const started = performance.now();
    const requestId = idOf(request);
    const log: Record<string, unknown> = { function: name, request_id: requestId, method: request.method };
    let environment: Environment | null = null;
    let answer: Answer;
    try {
      environment = readEnvironment();
      answer = request.method === "OPTIONS"
        ? { status: 204, body: null }
        : await answerOf(request, routes, environment, log);
    } catch (error) {
      answer = refusal(error, requestId, log);
    }
    const headers = new Headers({
      ...cors(request, Object.keys(routes), environment),
      ...answer.headers,
      "cache-control": "no-store",
      "x-request-id": requestId,
    });
    const ms = Math.round(performance.now() - started);
    if (answer.failure !== undefined) log.error = answer.failure;
    const level = answer.status >= 500 || answer.failure !== undefined ? "error" : "info";
    console.log(JSON.stringify({ time: new Date().toISOString(), level, ...log, status: answer.status, ms }));
    if (answer.body === null) return new Response(null, { status: answer.status, headers });
    headers.set("content-type", "application/json");
    return new Response(JSON.stringify(answer.body), { status: answer.status, headers });
  };

const answerOf = async (
  request: Request,
  routes: Record<string, Route>,
  environment: Environment,
  log: Record<string, unknown>,
): Promise<Answer> => {
  const route = Object.hasOwn(routes, request.method) ? routes[request.method] : undefined;
  if (route === undefined) {
    const allow = [...Object.keys(routes), "OPTIONS"].join(", ");
    throw new HttpError(405, "method_not_allowed", `The method: expected ${allow}.`, { headers: { allow } });
  }
  const caller = await identify(request.headers, environment);
  log.caller = caller.kind;
  if (!route.callers.includes(caller.kind)) throw forbidden("This key or token may not do that.");
  if (caller.kind === "user" && !caller.mayRead) {
    throw forbidden('The user\'s app_metadata needs "pm_strength": "read".');
  }
  const body = request.method === "GET" ? undefined : await bodyOf(request, route);
  return await route.answer({ caller, body, environment, url: new URL(request.url) });
};

const bodyOf = async (request: Request, route: Route): Promise<unknown> => {
  const bytes = await bytesOf(request, route.maxBytes);
  if (bytes.length === 0 && route.bodyOptional) return undefined;
  const type = request.headers.get("content-type")?.split(";")[0]?.trim().toLowerCase();
  if (type !== "application/json") {
    throw new HttpError(415, "unsupported_media_type", "content-type: expected application/json.");
  }
  try {
    return parseJson(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    throw new HttpError(400, "bad_json", "The body is not JSON in UTF-8.");
  }
};

const bytesOf = async (request: Request, limit: number): Promise<Uint8Array> => {
  const tooLarge = () => new HttpError(413, "too_large", `The body: expected at most ${limit} bytes.`);
  if (Number(request.headers.get("content-length") ?? 0) > limit) throw tooLarge();
  const parts: Uint8Array[] = [];
  let size = 0;
  // counted while it comes in: a body may be longer than its content-length
  for await (const part of request.body ?? []) {
    size += part.length;
    if (size > limit) throw tooLarge();
    parts.push(part);
  }
  const bytes = new Uint8Array(size);
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
};

const refusal = (error: unknown, requestId: string, log: Record<string, unknown>): Answer => {
  let known: HttpError;
  if (error instanceof HttpError) {
    known = error;
    log.error = error.message;
  } else {
    // only the log shows what went wrong in here
    log.error = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
    known = error instanceof EnvironmentError
      ? new HttpError(500, "misconfigured", error.message)
      : new HttpError(500, "internal", "Something went wrong. The log shows what, under this request_id.");
  }
  const { code, issues, message, status, headers } = known;
  return { status, headers, body: { error: message, code, issues, request_id: requestId } };
};

const idOf = (request: Request): string => {
  const given = request.headers.get("x-request-id") ?? "";
  return /^[\w.:-]{1,100}$/.test(given) ? given : crypto.randomUUID();
};

const cors = (
  request: Request,
  methods: string[],
  environment: Environment | null,
): Record<string, string> => {
  const allowed = environment?.corsOrigins ?? [];
  const origin = request.headers.get("origin");
  if (allowed.length === 0) return {};
  if (origin === null || !(allowed.includes("*") || allowed.includes(origin))) return { vary: "origin" };
  return {
    vary: "origin",
    "access-control-allow-origin": allowed.includes("*") ? "*" : origin,
    "access-control-allow-methods": [...methods, "OPTIONS"].join(", "),
    "access-control-allow-headers": ALLOWED_HEADERS,
    "access-control-expose-headers": EXPOSED_HEADERS,
    "access-control-max-age": "600",
  };
};
