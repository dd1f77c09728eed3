import assert from "node:assert/strict";
import { handlerOf, logged, post, withNetwork, withoutNetwork } from "./testing.ts";

const NAMES = ["strands", "sizing", "learning"];

const errorOf = async (response: Response, status: number) => {
  const body = await response.json();
  assert.equal(response.status, status, JSON.stringify(body));
  assert.deepEqual(Object.keys(body), ["error", "code", "issues", "request_id"]);
  assert.equal(response.headers.get("x-request-id"), body.request_id);
  return body;
};

for (const name of NAMES) {
  Deno.test(`${name}: requests that are no good get errors of one shape`, async () => {
    const handler = await handlerOf(name);
    const bot = { apikey: "sb_publishable_default" };
    const cases: [Request, number][] = [
      [new Request("http://localhost/", { method: "PUT" }), 405],
      [new Request("http://localhost/", { method: "DELETE", headers: bot }), 405],
      [post({}, { apikey: "" }), 401],
      [post({}, { apikey: "sb_secret_wrong" }), 401],
      [post({}, bot), 403],
      [post("{}", { "content-type": "text/plain" }), 415],
      [post("{}", { "content-type": "" }), 415],
      [post("{"), 400],
      [post("[".repeat(100_000)), name === "learning" ? 413 : 400],
      [post('{"a": "' + "x".repeat(9_000_000) + '"}'), 413],
    ];
    await logged(async () => {
      for (const [request, status] of cases) await errorOf(await handler(request), status);
    });
  });

  Deno.test(`${name}: methods that it has are told`, async () => {
    const handler = await handlerOf(name);
    await logged(async () => {
      const answer = await handler(new Request("http://localhost/", { method: "PATCH" }));
      const methods = name === "learning" ? "GET, POST, OPTIONS" : "POST, OPTIONS";
      assert.equal(answer.headers.get("allow"), methods);
      await answer.body?.cancel();
    });
  });

  Deno.test(`${name}: browsers may call from the origins that are set, and from no other`, async () => {
    const handler = await handlerOf(name);
    const ask = (origin: string) =>
      handler(
        new Request("http://localhost/", {
          method: "OPTIONS",
          headers: { origin, "access-control-request-method": "POST" },
        }),
      );
    await logged(async () => {
      const allowed = await ask("https://other.test");
      assert.equal(allowed.status, 204);
      assert.equal(allowed.headers.get("access-control-allow-origin"), "https://other.test");
      assert.match(allowed.headers.get("access-control-allow-methods") ?? "", /POST/);
      for (const origin of ["https://evil.test", "https://app.test.evil.test", "null"]) {
        assert.equal((await ask(origin)).headers.get("access-control-allow-origin"), null, origin);
      }
      // an error has them too, or a browser could not read it
      const refused = await handler(post({}, { origin: "https://app.test", apikey: "" }));
      assert.equal(refused.headers.get("access-control-allow-origin"), "https://app.test");
      await refused.body?.cancel();
    });
    const closed = await handlerOf(name, { PM_STRENGTH_CORS_ORIGINS: "" });
    await logged(async () => {
      const answer = await closed(
        new Request("http://localhost/", { method: "OPTIONS", headers: { origin: "https://app.test" } }),
      );
      assert.equal(answer.headers.get("access-control-allow-origin"), null);
    });
    await handlerOf(name);
  });

  Deno.test(`${name}: a line in the log for each request, with its id and no secret`, async () => {
    const handler = await handlerOf(name);
    const text = await logged(async () => {
      await withoutNetwork(async () => {
        const answer = await handler(post([], { "x-request-id": "mine-1" }));
        assert.equal(answer.headers.get("x-request-id"), "mine-1");
        const other = await handler(post([], { "x-request-id": "not {one}", apikey: "sb_secret_wrong" }));
        assert.match(other.headers.get("x-request-id") ?? "", /^[0-9a-f-]{36}$/);
        await Promise.all([answer.body?.cancel(), other.body?.cancel()]);
      });
    });
    const lines = text.split("\n").map((line) => JSON.parse(line));
    assert.equal(lines.length, 2);
    assert.deepEqual([lines[0].function, lines[0].request_id, lines[0].caller], [name, "mine-1", "service"]);
    for (const secret of ["sb_secret", "legacy.service", "token-of"]) {
      assert.ok(!text.includes(secret), secret);
    }
  });
}

Deno.test("a body is cut off where it is too long, whatever length it says", async () => {
  const handler = await handlerOf("learning");
  const chunk = new TextEncoder().encode(" ".repeat(64 * 1024));
  let sent = 0;
  const body = new ReadableStream({
    pull(controller) {
      sent++;
      controller.enqueue(chunk);
    },
  });
  const headers = { apikey: "sb_secret_default", "content-type": "application/json" };
  await logged(async () => {
    await errorOf(await handler(new Request("http://localhost/", { method: "POST", body, headers })), 413);
  });
  assert.ok(sent < 10);
});

Deno.test("what breaks in here is told to the log alone", async () => {
  const handler = await handlerOf("learning");
  const text = await logged(async () => {
    await withNetwork(
      () => new Response("{", { status: 200, headers: { "content-type": "application/json" } }),
      async () => {
        const answer = await handler(
          new Request("http://localhost/", { headers: { apikey: "sb_secret_default" } }),
        );
        assert.ok([500, 503].includes(answer.status));
        assert.ok(!(await answer.text()).includes("JSON"));
      },
    );
  });
  assert.match(text, /"level":"error"/);
});

Deno.test("an environment without a key is named", async () => {
  const handler = await handlerOf("sizing", { SUPABASE_SECRET_KEYS: "", SUPABASE_SERVICE_ROLE_KEY: "" });
  await logged(async () => {
    const body = await errorOf(await handler(post({})), 500);
    assert.equal(body.code, "misconfigured");
    assert.match(body.error, /SUPABASE_SECRET_KEYS/);
  });
  await handlerOf("sizing");
});
