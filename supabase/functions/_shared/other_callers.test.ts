// What one caller sends must not change what another one gets. V8's JSON.parse may take an escaped key for one
// that it read earlier (see json_reader.ts), so each test first sends such keys, by every way in.

import assert from "node:assert/strict";
import { type Handler, HANDLERS, logged, post, withNetwork } from "./testing.ts";

type Row = Record<string, unknown>;
const POISON = '{"chain":[],"caf\\\\":0}';
const KEY = '"pattern_key": "p", "action_category": "entry"';
const RESOLUTION =
  '{"multiplier":2,"reason":"matched","matched":1,"matches":[{"id":1,"scope_subset":SCOPE}],"run_id":1,"as_of":null}';

const segment = (text: string) => btoa(text).replace(/=+$/, "").replaceAll("+", "-").replaceAll("/", "_");
/** Somebody else's requests, made anew each time. */
const POISONS: Record<string, () => Request> = {
  "a strand's content": () =>
    post(`{"id": "1", "module": "m", "kind": "k", "content": ${POISON}}`, {
      authorization: "Bearer token-of-a-bot",
    }),
  "a scope": () => post(`{${KEY}, "scope": ${POISON}}`),
  "a request": () => post(`[${POISON}]`),
  "the header of a token that nobody signed": () =>
    post("{}", { authorization: `Bearer ${segment(`{"alg":"HS256","x":${POISON}}`)}.${segment("{}")}.x` }),
  "anything that JSON.parse read": () => {
    JSON.parse(POISON);
    return post("{}");
  },
};

for (const [way, poison] of Object.entries(POISONS)) {
  Deno.test(`keys are read as they are after ${way}`, async () => {
    const { strands, sizing } = HANDLERS as Record<"strands" | "sizing", Handler>;
    let shownScope = "{}";
    const network = (seen: { url: URL }) =>
      seen.url.pathname.endsWith("batch")
        ? new Response(`[${RESOLUTION.replace("SCOPE", shownScope)}]`)
        : new Response('[{"id":"1"}]', { status: 201 });
    await withNetwork(network, async () => {
      await logged(async () => {
        for (let n = 0; n < 3; n++) {
          for (const handle of [strands, sizing]) {
            await (await handle(poison())).body?.cancel();
          }
        }
        shownScope = '{"chain": 1, "caf\\"": 2}';
        const answer = await sizing(post(`{${KEY}, "scope": {"chain": 1, "caf\\u00e9": 2}}`));
        const text = await answer.text();
        assert.ok(text.includes('"scope_subset":{"chain":1,"caf\\"":2}'), text);
      });
    });
    const seen = await withNetwork(network, async () => {
      await logged(async () => {
        await sizing(post(`{${KEY}, "scope": {"chain":1,"caf\\u00e9":2}}`));
        await strands(
          post('{"id":"1","module":"m","kind":"k","content":{"chain":1,"caf\\u00e9":2}}'),
        );
      });
    });
    const [sized, stored] = seen.map(({ body }) => body) as [{ requests: Row[] }, Row[]];
    assert.deepEqual(sized.requests[0]!.scope, { chain: 1, café: 2 });
    assert.deepEqual(stored[0]!.content, { chain: 1, café: 2 });
  });
}
