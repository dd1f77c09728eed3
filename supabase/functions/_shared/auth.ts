// Who calls. The gateway lets every request through (verify_jwt = false), as it can check neither sb_ keys nor
// a bot's token. Whoever is not recognized here is refused.

import { timingSafeEqual } from "node:crypto";
import {
  createLocalJWKSet,
  createRemoteJWKSet,
  customFetch,
  decodeProtectedHeader,
  errors,
  jwtVerify,
} from "jose";
import type { JWTPayload, JWTVerifyGetKey } from "jose";
import type { Environment } from "./environment.ts";
import { unauthorized, unavailable } from "./errors.ts";

export type Caller =
  | { kind: "service" }
  | { kind: "bot" }
  | { kind: "user"; token: string; mayRead: boolean }
  | { kind: "anonymous" };

// How far clocks may differ, as PostgREST has it.
const CLOCK_SECONDS = 30;
// Requests that come while the keys are asked for wait for the same answer.
const KEYS_TIMEOUT_MS = 5_000;
// The keys did not come, or what came are not keys.
const CANNOT_SAY = ["ERR_JWKS_TIMEOUT", "ERR_JWKS_INVALID", "ERR_JOSE_GENERIC"];
const ASYMMETRIC = ["ES256", "RS256", "EdDSA", "ES384", "RS384", "RS512", "PS256"];

/** The caller of a request; throws 401 for a key or token that is not good. */
export const identify = async (headers: Headers, environment: Environment): Promise<Caller> => {
  const bearer = /^bearer +(\S+)$/i.exec(headers.get("authorization")?.trim() ?? "")?.[1];
  const apikey = headers.get("apikey") ?? undefined;
  if (headers.get("authorization") && bearer === undefined) {
    throw unauthorized("Authorization: expected `Bearer` and a token.");
  }
  if (bearer !== undefined) {
    if (await isOne(bearer, environment.botTokens)) return { kind: "bot" };
    const caller = await byKey(bearer, environment);
    if (caller !== null) return caller;
    if (!bearer.startsWith("sb_")) return await byToken(bearer, environment);
    throw unauthorized("The key in Authorization is not one of this project's.");
  }
  if (apikey === undefined) {
    throw unauthorized("Send a key as `apikey`, or a token as `Authorization: Bearer`.");
  }
  const caller = await byKey(apikey, environment);
  if (caller === null) throw unauthorized("The key in apikey is not one of this project's.");
  return caller;
};

const byKey = async (key: string, environment: Environment): Promise<Caller | null> => {
  if (await isOne(key, environment.serviceKeys)) return { kind: "service" };
  if (await isOne(key, environment.publicKeys)) return { kind: "anonymous" };
  return null;
};

const byToken = async (token: string, environment: Environment): Promise<Caller> => {
  const claims = await verify(token, environment);
  if (claims.role === "service_role") return { kind: "service" };
  if (claims.role !== "authenticated") return { kind: "anonymous" };
  const metadata = claims.app_metadata;
  // users write their user_metadata themselves, never their app_metadata
  const mayRead = typeof metadata === "object" && metadata !== null &&
    (metadata as Record<string, unknown>).pm_strength === "read";
  return { kind: "user", token, mayRead };
};

const verify = async (token: string, environment: Environment): Promise<JWTPayload> => {
  let algorithm: string | undefined;
  try {
    algorithm = decodeProtectedHeader(token).alg;
  } catch {
    throw unauthorized("The token is not a JWT.");
  }
  const options = { clockTolerance: CLOCK_SECONDS };
  try {
    if (algorithm !== "HS256") {
      const { payload } = await jwtVerify(token, publicKeys(environment), {
        ...options,
        algorithms: ASYMMETRIC,
      });
      return payload;
    }
    for (const secret of environment.jwtSecrets) {
      const payload = await jwtVerify(token, secret, { ...options, algorithms: ["HS256"] }).then(
        (result) => result.payload,
        (error) => {
          if (error instanceof errors.JWSSignatureVerificationFailed) return null;
          throw error;
        },
      );
      if (payload !== null) return payload;
    }
  } catch (error) {
    if (!(error instanceof errors.JOSEError) || CANNOT_SAY.includes(error.code)) {
      throw unavailable("The Auth server does not give the keys to check tokens with.");
    }
    const expired = error instanceof errors.JWTExpired;
    throw unauthorized(expired ? "The token has expired." : "The token cannot be verified.");
  }
  throw unauthorized("The token cannot be verified.");
};

const remote = new Map<string, JWTVerifyGetKey>();

const publicKeys = (environment: Environment): JWTVerifyGetKey => {
  const asymmetric = environment.jwks?.keys.filter((key) => key.kty !== "oct") ?? [];
  if (asymmetric.length > 0) return createLocalJWKSet({ keys: asymmetric as never });
  let keys = remote.get(environment.url);
  if (keys === undefined) {
    // kept, so that the keys are asked for once and not for each request
    keys = createRemoteJWKSet(new URL(`${environment.url}/auth/v1/.well-known/jwks.json`), {
      timeoutDuration: KEYS_TIMEOUT_MS,
      [customFetch]: fetchKeys,
    });
    remote.set(environment.url, keys);
  }
  return keys;
};

/** The answer of the Auth server; a 404 means that the project has no public keys. */
const fetchKeys = async (...asked: Parameters<typeof fetch>): Promise<Response> => {
  const answer = await fetch(...asked);
  if (answer.status !== 404) return answer;
  await answer.body?.cancel();
  return Response.json({ keys: [] });
};

/** Whether a secret is one of the known ones; the time that it takes tells nothing about them. */
const isOne = async (secret: string, known: string[]): Promise<boolean> => {
  const given = await digest(secret);
  let found = false;
  for (const other of known) found = timingSafeEqual(given, await digest(other)) || found;
  return found;
};

const digest = async (text: string): Promise<Uint8Array> =>
  new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text)));
