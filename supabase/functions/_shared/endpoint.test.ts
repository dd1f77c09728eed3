import assert from "node:assert/strict";
import { HANDLERS, logged, post, withEnvironment, withNetwork, withoutNetwork } from "./testing.ts";

const errorOf = async (response: Response, status: number) => {
  const body = await response.json();
  assert.equal(response.status, status, JSON.stringify(body));
  assert.deepEqual(Object.keys(body), ["error", "code", "issues", "request_id"]);
  assert.equal(response.headers.get("x-request-id"), body.request_id);
  return body;
};

for (const [name, handler] of Object.entries(HANDLERS)) {
  Deno.test(`${name}: bad requests get errors of one shape`, async () => {
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

  Deno.test(`${name}: an answer to another method names those that it has`, async () => {
    await logged(async () => {
      const answer = await handler(new Request("http://localhost/", { method: "PATCH" }));
      const methods = name === "learning" ? "GET, POST, OPTIONS" : "POST, OPTIONS";
      assert.equal(answer.headers.get("allow"), methods);
      await answer.body?.cancel();
    });
  });

  Deno.test(`${name}: browsers may call from the origins that are set, and from no other`, async () => {
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
      // an error has them too: a browser could not read it otherwise
      const refused = await handler(post({}, { origin: "https://app.test", apikey: "" }));
      assert.equal(refused.headers.get("access-control-allow-origin"), "https://app.test");
      await refused.body?.cancel();
    });
    await withEnvironment({ PM_STRENGTH_CORS_ORIGINS: "" }, async () => {
      await logged(async () => {
        assert.equal((await ask("https://app.test")).headers.get("access-control-allow-origin"), null);
      });
    });
  });

  Deno.test(`${name}: a line in the log for each request, with its id and no secret`, async () => {
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

Deno.test("a body that is too long is not read to its end, whatever its content-length", async () => {
  const handler = HANDLERS.learning!;
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

Deno.test("only the log shows what breaks in here", async () => {
  const handler = HANDLERS.learning!;
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
  await withEnvironment({ SUPABASE_SECRET_KEYS: "", SUPABASE_SERVICE_ROLE_KEY: "" }, async () => {
    await logged(async () => {
      const body = await errorOf(await HANDLERS.sizing!(post({})), 500);
      assert.equal(body.code, "misconfigured");
      assert.match(body.error, /SUPABASE_SECRET_KEYS/);
    });
  });
});
