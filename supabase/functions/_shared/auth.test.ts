import assert from "node:assert/strict";
import { exportJWK, generateKeyPair, SignJWT } from "jose";
import { identify } from "./auth.ts";
import { readEnvironment } from "./environment.ts";
import { HttpError } from "./errors.ts";
import { ENVIRONMENT, SECRET, withNetwork, withoutNetwork } from "./testing.ts";

type Claims = Record<string, unknown>;
const READER = { role: "authenticated", sub: "u", app_metadata: { pm_strength: "read" } };

const environment = (more: Record<string, string> = {}) =>
  readEnvironment((name) => ({ ...ENVIRONMENT, ...more } as Record<string, string>)[name]);
const who = (headers: Record<string, string>, more: Record<string, string> = {}) =>
  identify(new Headers(headers), environment(more));
const hs256 = (claims: Claims, secret = SECRET, expires = "1h") =>
  new SignJWT(claims).setProtectedHeader({ alg: "HS256" }).setExpirationTime(expires).sign(
    new TextEncoder().encode(secret),
  );
const refused = (status: number) => (error: unknown) => error instanceof HttpError && error.status === status;
const bearer = (token: string) => ({ authorization: `Bearer ${token}` });

Deno.test("keys say who calls, in either header", async () => {
  for (const key of ["sb_secret_default", "sb_secret_other", "legacy.service.key"]) {
    assert.equal((await who({ apikey: key })).kind, "service");
    assert.equal((await who(bearer(key))).kind, "service");
  }
  for (const key of ["sb_publishable_default", "legacy.anon.key"]) {
    assert.equal((await who({ apikey: key, ...bearer(key) })).kind, "anonymous");
  }
  for (const token of ["token-of-a-bot", "token-of-another-bot"]) {
    assert.equal((await who({ apikey: "sb_publishable_default", ...bearer(token) })).kind, "bot");
  }
});

Deno.test("a bot's token is not a key", async () => {
  await assert.rejects(who({ apikey: "token-of-a-bot" }), refused(401));
});

Deno.test("without PM_STRENGTH_BOT_TOKEN, no bot's token is taken", async () => {
  await assert.rejects(who(bearer("token-of-a-bot"), { PM_STRENGTH_BOT_TOKEN: "" }), refused(401));
});

Deno.test("no key, and unknown keys and tokens, are refused", async () => {
  for (
    const headers of [
      {},
      { apikey: "sb_secret_of_another" },
      { apikey: "" },
      bearer("sb_secret_of_another"),
      bearer("no.jwt.here"),
      { authorization: "Basic c2VydmljZTo=" },
      { authorization: "sb_secret_default" },
      { apikey: "sb_secret_default", ...bearer("sb_secret_of_another") },
      { apikey: "sb_secret_default", ...bearer("a b") },
    ] as Record<string, string>[]
  ) await assert.rejects(who(headers), refused(401), JSON.stringify(headers));
});

Deno.test("a token's role and app_metadata count, with a service key beside it too", async () => {
  const token = await hs256(READER);
  assert.deepEqual(await who({ apikey: "sb_secret_default", ...bearer(token) }), {
    kind: "user",
    token,
    mayRead: true,
  });
  assert.equal((await who(bearer(await hs256({ role: "service_role" })))).kind, "service");
  assert.equal((await who(bearer(await hs256({ role: "anon" })))).kind, "anonymous");
  assert.equal((await who(bearer(await hs256({ role: "postgres" })))).kind, "anonymous");
  for (
    const claims of [
      { user_metadata: { pm_strength: "read" } },
      { app_metadata: { pm_strength: "write" } },
      { app_metadata: "read" },
      { app_metadata: null },
    ]
  ) {
    const caller = await who(bearer(await hs256({ role: "authenticated", ...claims })));
    assert.ok(caller.kind === "user" && !caller.mayRead, JSON.stringify(claims));
  }
});

Deno.test("expired, wrongly signed and unsigned tokens are refused", async () => {
  const unsigned = [{ alg: "none" }, { role: "service_role" }].map((part) =>
    btoa(JSON.stringify(part)).replaceAll("=", "")
  );
  for (
    const token of [
      await hs256(READER, SECRET, "1 hour ago"),
      await hs256(READER, "the secret of another project altogether"),
      `${unsigned.join(".")}.`,
    ]
  ) await assert.rejects(who(bearer(token)), refused(401));
});

Deno.test("tokens that a private key signed are checked with the public one", async () => {
  const { publicKey, privateKey } = await generateKeyPair("ES256");
  const key = { ...await exportJWK(publicKey), kid: "1", alg: "ES256" };
  const sign = (kid: string) =>
    new SignJWT(READER).setProtectedHeader({ alg: "ES256", kid }).setExpirationTime("1h").sign(privateKey);
  const token = await sign("1");
  const set = JSON.stringify({ keys: [key, { kty: "oct", k: btoa(SECRET).replace(/=+$/, "") }] });
  const known = { SUPABASE_JWKS: set, PM_STRENGTH_JWT_SECRET: "" };
  assert.equal((await who(bearer(token), known)).kind, "user");
  assert.equal((await who(bearer(await hs256(READER)), known)).kind, "user", "with the set's own secret");
  await assert.rejects(who(bearer(await sign("2")), known), refused(401));

  // else the project's Auth server has them
  const elsewhere = { SUPABASE_URL: "http://auth.test" };
  const asked = await withNetwork(() => Response.json({ keys: [key] }), async () => {
    for (let n = 0; n < 3; n++) assert.equal((await who(bearer(token), elsewhere)).kind, "user");
  });
  assert.deepEqual(asked.map(({ url }) => url.href), ["http://auth.test/auth/v1/.well-known/jwks.json"]);
  await withoutNetwork(async () => {
    await assert.rejects(who(bearer(token), { SUPABASE_URL: "http://down.test" }), refused(503));
  });
});

Deno.test("a public key cannot serve as a secret to sign with", async () => {
  const { publicKey } = await generateKeyPair("RS256", { extractable: true });
  const key = await exportJWK(publicKey);
  const forged = await hs256({ role: "service_role" }, JSON.stringify(key));
  await assert.rejects(who(bearer(forged), { SUPABASE_JWKS: JSON.stringify({ keys: [key] }) }), refused(401));
});
