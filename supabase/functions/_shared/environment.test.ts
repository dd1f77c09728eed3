import assert from "node:assert/strict";
import { EnvironmentError, readEnvironment } from "./environment.ts";
import { ENVIRONMENT } from "./testing.ts";

const read = (variables: Record<string, string | undefined>) => readEnvironment((name) => variables[name]);

Deno.test("the default key comes first, legacy ones last", () => {
  const environment = read(ENVIRONMENT);
  assert.equal(environment.serviceKey, "sb_secret_default");
  assert.deepEqual(environment.serviceKeys, ["sb_secret_default", "sb_secret_other", "legacy.service.key"]);
  assert.equal(environment.publicKey, "sb_publishable_default");
});

Deno.test("the legacy keys are enough", () => {
  const environment = read({
    ...ENVIRONMENT,
    SUPABASE_SECRET_KEYS: undefined,
    SUPABASE_PUBLISHABLE_KEYS: undefined,
  });
  assert.equal(environment.serviceKey, "legacy.service.key");
  assert.equal(environment.publicKey, "legacy.anon.key");
});

Deno.test("an empty bot's token does not count", () => {
  assert.deepEqual(read({ ...ENVIRONMENT, PM_STRENGTH_BOT_TOKEN: " , " }).botTokens, []);
});

for (
  const [name, value] of [
    ["SUPABASE_URL", undefined],
    ["SUPABASE_SECRET_KEYS", "sb_secret_in_plain"],
    ["SUPABASE_JWKS", "{"],
  ] as const
) {
  Deno.test(`${name} that is ${value ? "not JSON" : "missing"} is named, and not shown`, () => {
    assert.throws(
      () => read({ ...ENVIRONMENT, [name]: value }),
      (error) =>
        error instanceof EnvironmentError && error.message.includes(name) &&
        !error.message.includes("sb_secret"),
    );
  });
}
