// What the functions read from environment variables. Every project sets SUPABASE_*; the rest are secrets
// that its owner sets (`supabase secrets set`).

import { parseJson } from "./json_reader.ts";

export type Environment = {
  url: string;
  /** A key with the rights of service_role. */
  serviceKey: string;
  /** A key with the rights of anon, to send along with a user's token. */
  publicKey: string;
  serviceKeys: string[];
  publicKeys: string[];
  /** May insert strands and nothing else. */
  botTokens: string[];
  /** Secrets of tokens signed with HS256. */
  jwtSecrets: Uint8Array[];
  /** Public keys to check users' tokens with; null if none are set: the Auth server has them then. */
  jwks: { keys: Record<string, unknown>[] } | null;
  corsOrigins: string[];
};

/** A variable that is missing or cannot be read; the message names it. */
export class EnvironmentError extends Error {}

export const readEnvironment = (
  get: (name: string) => string | undefined = (name) => Deno.env.get(name),
): Environment => {
  const secretKeys = named(get, "SUPABASE_SECRET_KEYS");
  const publishableKeys = named(get, "SUPABASE_PUBLISHABLE_KEYS");
  const keys = jwks(get("SUPABASE_JWKS"));
  const serviceKeys = [...secretKeys, ...list(get("SUPABASE_SERVICE_ROLE_KEY"))];
  const publicKeys = [...publishableKeys, ...list(get("SUPABASE_ANON_KEY"))];
  return {
    url: required("SUPABASE_URL", get("SUPABASE_URL")).replace(/\/+$/, ""),
    serviceKey: required("SUPABASE_SECRET_KEYS or SUPABASE_SERVICE_ROLE_KEY", serviceKeys[0]),
    publicKey: required("SUPABASE_PUBLISHABLE_KEYS or SUPABASE_ANON_KEY", publicKeys[0]),
    serviceKeys,
    publicKeys,
    botTokens: list(get("PM_STRENGTH_BOT_TOKEN")),
    jwtSecrets: [
      ...list(get("PM_STRENGTH_JWT_SECRET")).map((secret) => new TextEncoder().encode(secret)),
      ...(keys?.keys ?? []).flatMap(symmetric),
    ],
    jwks: keys,
    corsOrigins: list(get("PM_STRENGTH_CORS_ORIGINS")),
  };
};

const required = (name: string, value: string | undefined): string => {
  if (!value) throw new EnvironmentError(`${name} is not set`);
  return value;
};

/** One value, or several with commas between them. */
const list = (text: string | undefined): string[] =>
  (text ?? "").split(",").map((part) => part.trim()).filter((part) => part !== "");

/** Keys by name, as `{"default": "sb_secret_..."}`; the default one comes first. */
const named = (get: (name: string) => string | undefined, name: string): string[] => {
  const value = parsed(name, get(name)) ?? {};
  const keys = Object.entries(value).filter(([, key]) => typeof key === "string" && key !== "");
  keys.sort(([a], [b]) => Number(b === "default") - Number(a === "default"));
  return keys.map(([, key]) => String(key));
};

const jwks = (text: string | undefined): Environment["jwks"] => {
  const value = parsed("SUPABASE_JWKS", text);
  if (value === null) return null;
  const keys = Array.isArray(value) ? value : (value as { keys?: unknown }).keys;
  return Array.isArray(keys) && keys.length > 0 ? { keys } : null;
};

const parsed = (name: string, text: string | undefined): object | null => {
  if (!text) return null;
  try {
    const value = parseJson(text);
    if (typeof value === "object") return value;
  } catch {
    // what it holds may be secret, so it is not shown
  }
  throw new EnvironmentError(`${name}: expected a JSON object or array`);
};

const symmetric = (key: Record<string, unknown>): Uint8Array[] => {
  if (key.kty !== "oct" || typeof key.k !== "string") return [];
  const base64 = key.k.replaceAll("-", "+").replaceAll("_", "/");
  return [Uint8Array.from(atob(base64), (char) => char.charCodeAt(0))];
};
