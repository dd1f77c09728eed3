// The gateway in front of the API, as a hosted project has one. It accepts opaque keys and JWTs, and passes
// /rest/v1 on to PostgREST and /functions/v1 to the edge functions, which check the caller themselves
// (verify_jwt = false). Configured by environment variables; it calls no other host.

const env = (name: string): string => {
  const value = Deno.env.get(name);
  if (!value) throw new Error(`${name} is not set`);
  return value;
};

const postgrest = `http://127.0.0.1:${env("POSTGREST_PORT")}`;
const functions = `http://127.0.0.1:${env("FUNCTIONS_PORT")}`;
const anonKey = env("ANON_KEY");
const serviceRoleKey = env("SERVICE_ROLE_KEY");
const tokens = new Map([
  [env("PUBLISHABLE_KEY"), anonKey],
  [env("SECRET_KEY"), serviceRoleKey],
  [anonKey, anonKey],
  [serviceRoleKey, serviceRoleKey],
]);

const methods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
const cors = {
  "access-control-allow-origin": "*",
  "access-control-allow-methods": methods.join(", "),
  "access-control-allow-headers":
    "authorization, apikey, content-type, prefer, range, accept-profile, content-profile, x-client-info",
  "access-control-expose-headers": "content-range, content-profile, location",
};
// Far more than anyone sends to PostgREST at once, and more than the 8 MB that the functions accept.
const restMaxBytes = 64 * 1024 * 1024;
const functionsMaxBytes = 16 * 1024 * 1024;
// A body up to this size is sent on whole: streaming costs 40 ms a call.
const shortBytes = 256 * 1024;

const hopByHop = ["connection", "keep-alive", "transfer-encoding", "te", "upgrade", "host", "content-length"];

const refuse = (status: number, code: string, message: string): Response =>
  Response.json({ code, message }, { status, headers: cors });

/** The token for PostgREST: the user's own if there is one, else the token of the key. */
const authorize = (request: Request, url: URL): string | Response => {
  const apikey = request.headers.get("apikey") ?? url.searchParams.get("apikey");
  if (!apikey) return refuse(401, "no_api_key", "No API key found in request.");
  const keyToken = tokens.get(apikey);
  if (!keyToken) return refuse(401, "invalid_api_key", "Invalid API key.");
  const bearer = request.headers.get("authorization")?.replace(/^bearer /i, "");
  if (!bearer) return keyToken;
  const known = tokens.get(bearer);
  if (known) return known;
  if (bearer.startsWith("sb_")) return refuse(401, "invalid_api_key", "Invalid API key.");
  return bearer; // a user's token: PostgREST checks it
};

class TooLargeError extends Error {}
class BrokenBodyError extends Error {}

/**
 * The body to send on: whole if it is short, else as a stream. If it has more than `limit` bytes, or breaks
 * off, the call is aborted through `off`.
 */
const bodyOf = async (
  request: Request,
  limit: number,
  off: AbortController,
): Promise<BodyInit | undefined> => {
  if (request.body === null) return undefined;
  if (Number(request.headers.get("content-length") ?? 0) > limit) throw new TooLargeError();
  const reader = request.body.getReader();
  const read = () =>
    reader.read().catch(() => {
      throw new BrokenBodyError();
    });
  const first: Uint8Array<ArrayBuffer>[] = [];
  let size = 0;
  while (size <= shortBytes) {
    const { value, done } = await read();
    if (done) return await new Blob(first).arrayBuffer();
    size += value.length;
    first.push(value);
  }
  return new ReadableStream({
    async pull(controller) {
      const part = first.shift();
      if (part !== undefined) return controller.enqueue(part);
      try {
        const { value, done } = await read();
        if (done) return controller.close();
        size += value.length;
        if (size > limit) throw new TooLargeError();
        controller.enqueue(value);
      } catch (error) {
        off.abort(error);
      }
    },
    cancel: (reason) => reader.cancel(reason),
  });
};

/** The answer of another server to the request, with `headers`; 503 if it cannot be reached. */
const pass = async (request: Request, target: string, headers: Headers, limit: number): Promise<Response> => {
  for (const name of hopByHop) headers.delete(name);
  const off = new AbortController();
  const { method } = request;
  try {
    const body = await bodyOf(request, limit, off);
    const answer = await fetch(target, { method, headers, body, redirect: "manual", signal: off.signal });
    const answerHeaders = new Headers(answer.headers);
    for (const name of hopByHop) answerHeaders.delete(name);
    // fetch has already unpacked the body
    answerHeaders.delete("content-encoding");
    return new Response(answer.body, { status: answer.status, headers: answerHeaders });
  } catch (error) {
    if (error instanceof TooLargeError) {
      return refuse(413, "too_large", `The body: expected at most ${limit} bytes.`);
    }
    if (error instanceof BrokenBodyError) {
      return refuse(400, "bad_request", "The body: expected all of it, got only a part.");
    }
    return refuse(503, "unavailable", "The API is not available.");
  }
};

const rest = async (request: Request, url: URL): Promise<Response> => {
  const token = authorize(request, url);
  if (token instanceof Response) return token;
  url.searchParams.delete("apikey");
  const headers = new Headers(request.headers);
  headers.delete("apikey");
  headers.set("authorization", `Bearer ${token}`);
  const target = postgrest + (url.pathname.slice("/rest/v1".length) || "/") + url.search;
  const answer = await pass(request, target, headers, restMaxBytes);
  for (const [name, value] of Object.entries(cors)) answer.headers.set(name, value);
  return answer;
};

/** The refusal of a request that no server could take; null if there is nothing wrong with it. */
const problemOf = (request: Request): Response | null => {
  // in capitals only: fetch would make GET of "get", and the other servers would not
  if (!methods.includes(request.method)) {
    const refusal = refuse(405, "method_not_allowed", `The method: expected ${methods.join(", ")}.`);
    refusal.headers.set("allow", methods.join(", "));
    return refusal;
  }
  if (!URL.canParse(request.url)) {
    return refuse(400, "bad_request", "The path and the host header: expected a valid URL.");
  }
  for (const [name, value] of request.headers) {
    // PostgREST fails at other characters, and fetch does in some headers
    if (!/^[\t\x20-\x7e]*$/.test(value)) {
      return refuse(400, "bad_request", `${name}: expected ASCII characters.`);
    }
  }
  return null;
};

export const handler = (request: Request): Response | Promise<Response> => {
  const problem = problemOf(request);
  if (problem !== null) return problem;
  const url = new URL(request.url);
  if (url.pathname.startsWith("/functions/v1/")) {
    const target = functions + url.pathname.slice("/functions/v1".length) + url.search;
    return pass(request, target, new Headers(request.headers), functionsMaxBytes);
  }
  if (request.method === "OPTIONS") return new Response(null, { status: 204, headers: cors });
  if (url.pathname === "/health") return Response.json({ status: "ok" });
  if (url.pathname === "/rest/v1" || url.pathname.startsWith("/rest/v1/")) return rest(request, url);
  return refuse(404, "not_found", `Nothing is served at ${url.pathname}.`);
};

if (import.meta.main) {
  Deno.serve({ hostname: "127.0.0.1", port: Number(env("GATEWAY_PORT")), onListen: () => {} }, handler);
}
