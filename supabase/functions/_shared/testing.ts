// For tests: the functions' handlers, in an environment and with a database of the tests' own.

import { handler as learning } from "../learning/handler.ts";
import { handler as sizing } from "../sizing/handler.ts";
import { handler as strands } from "../strands/handler.ts";
import { parseJson } from "./json_reader.ts";

export type Handler = (request: Request) => Promise<Response>;
export type Seen = { url: URL; method: string; headers: Headers; body: unknown };

export const SECRET = "a secret of the project that signs its tokens";
export const ENVIRONMENT = {
  SUPABASE_URL: "http://project.test",
  SUPABASE_SECRET_KEYS: '{"other": "sb_secret_other", "default": "sb_secret_default"}',
  SUPABASE_PUBLISHABLE_KEYS: '{"default": "sb_publishable_default"}',
  SUPABASE_SERVICE_ROLE_KEY: "legacy.service.key",
  SUPABASE_ANON_KEY: "legacy.anon.key",
  PM_STRENGTH_BOT_TOKEN: "token-of-a-bot,token-of-another-bot",
  PM_STRENGTH_JWT_SECRET: SECRET,
  PM_STRENGTH_CORS_ORIGINS: "https://app.test,https://other.test",
};

for (const [key, value] of Object.entries(ENVIRONMENT)) Deno.env.set(key, value);

/** The handlers by the names of their functions; they run in `ENVIRONMENT`. */
export const HANDLERS: Record<string, Handler> = { learning, sizing, strands };

/** Change variables of the environment while `work` runs. */
export const withEnvironment = async (
  variables: Partial<typeof ENVIRONMENT>,
  work: () => Promise<void>,
): Promise<void> => {
  for (const [key, value] of Object.entries(variables)) Deno.env.set(key, value);
  try {
    await work();
  } finally {
    for (const [key, value] of Object.entries(ENVIRONMENT)) Deno.env.set(key, value);
  }
};

/** Answer what the function asks of the network while `work` runs; returns what it asked. */
export const withNetwork = async (
  answer: (seen: Seen) => Response | Promise<Response>,
  work: () => Promise<void>,
): Promise<Seen[]> => {
  const seen: Seen[] = [];
  const real = globalThis.fetch;
  globalThis.fetch = async (input, init) => {
    const request = new Request(input, init);
    const text = await request.text();
    const one = {
      url: new URL(request.url),
      method: request.method,
      headers: request.headers,
      body: text ? parseJson(text) : undefined,
    };
    seen.push(one);
    return await answer(one);
  };
  try {
    await work();
  } finally {
    globalThis.fetch = real;
  }
  return seen;
};

/** While `work` runs the database cannot be reached. */
export const withoutNetwork = (work: () => Promise<void>): Promise<Seen[]> =>
  withNetwork(() => Promise.reject(new TypeError("connection refused")), work);

export const post = (body: unknown, headers: Record<string, string> = {}, query = ""): Request =>
  new Request(`http://localhost/function${query}`, {
    method: "POST",
    headers: { apikey: "sb_secret_default", "content-type": "application/json", ...headers },
    body: typeof body === "string" ? body : JSON.stringify(body),
  });

/** What was logged while `work` ran. */
export const logged = async (work: () => Promise<void>): Promise<string> => {
  const lines: string[] = [];
  const real = console.log;
  console.log = (...parts: unknown[]) => void lines.push(parts.join(" "));
  try {
    await work();
  } finally {
    console.log = real;
  }
  return lines.join("\n");
};
