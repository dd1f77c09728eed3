import assert from "node:assert/strict";
import { logged, post, withNetwork, withoutNetwork } from "../_shared/testing.ts";
import { handler } from "./handler.ts";
import { readJobs } from "./jobs.ts";

for (
  const [body, jobs] of [
    [undefined, ["mine", "materialize"]],
    [null, ["mine", "materialize"]],
    [{}, ["mine", "materialize"]],
    [{ jobs: null }, ["mine", "materialize"]],
    [{ jobs: ["materialize", "mine", "mine"] }, ["mine", "materialize"]],
    [{ jobs: ["sweep"] }, ["sweep"]],
  ] as const
) {
  Deno.test(`${JSON.stringify(body)} asks for ${jobs}`, () => {
    assert.deepEqual(readJobs(body), { jobs, module: "pm" });
  });
}

for (
  const [body, path] of [
    [5, []],
    ["mine", []],
    [["mine"], []],
    [{ jobs: "mine" }, ["jobs"]],
    [{ jobs: [] }, ["jobs"]],
    [{ jobs: ["dance"] }, ["jobs", 0]],
    [{ job: "mine" }, []],
    [{ module: "" }, ["module"]],
    [{ module: 5 }, ["module"]],
    [{ module: "m".repeat(101) }, ["module"]],
    [{ module: "m\u0000" }, ["module"]],
  ] as [unknown, (string | number)[]][]
) {
  Deno.test(`${JSON.stringify(body)} is wrong at ${path.join(".") || "all of it"}`, () => {
    const read = readJobs(body);
    assert.ok("issues" in read);
    assert.deepEqual(read.issues.map((issue) => issue.path), [path]);
  });
}

Deno.test("a module is named, or is pm", () => {
  assert.deepEqual(readJobs({ module: "dm" }), { jobs: ["mine", "materialize"], module: "dm" });
  assert.deepEqual(readJobs({ module: null, jobs: ["mine"] }), { jobs: ["mine"], module: "pm" });
});

const status = () => new Request("http://localhost/", { headers: { apikey: "sb_secret_default" } });

Deno.test("GET shows queues, dead letters and runs", async () => {
  const answers: Record<string, unknown> = {
    "/rest/v1/rpc/pm_strength_queue_status": { queues: [], dead_letters: 3 },
    "/rest/v1/learning_runs": [{ id: 9 }],
  };
  await withNetwork(({ url }) => Response.json(answers[url.pathname]), async () => {
    await logged(async () => {
      assert.deepEqual(await (await handler(status())).json(), {
        queues: [],
        dead_letters: 3,
        runs: [{ id: 9 }],
      });
    });
  });
});

Deno.test("POST queues mining before materializing", async () => {
  let sent = 0;
  const seen = await withNetwork(() => Response.json(++sent), async () => {
    await logged(async () => {
      const answer = await handler(post(""));
      assert.equal(answer.status, 202);
      assert.deepEqual(await answer.json(), {
        queued: [{ job: "mine", msg_id: 1 }, { job: "materialize", msg_id: 2 }],
      });
    });
  });
  assert.deepEqual(seen.map(({ body }) => body), [
    { job: "mine", module: "pm" },
    { job: "materialize", module: "pm" },
  ]);
});

Deno.test("POST queues the jobs of the module that it names", async () => {
  const seen = await withNetwork(() => Response.json(1), async () => {
    await logged(async () => {
      const answer = await handler(post({ jobs: ["mine"], module: "dm" }));
      assert.deepEqual(await answer.json(), { queued: [{ job: "mine", msg_id: 1 }] });
    });
  });
  assert.deepEqual(seen.map(({ body }) => body), [{ job: "mine", module: "dm" }]);
});

for (
  const [status, body, wanted] of [[404, "", 403], [404, "[]", 403], [500, "null", 503]] as const
) {
  Deno.test(`nothing is queued where the answer is ${status} with ${body || "nothing"}`, async () => {
    await withNetwork(() => new Response(body, { status }), async () => {
      await logged(async () => {
        const answer = await handler(post({}));
        assert.equal(answer.status, wanted);
        await answer.body?.cancel();
      });
    });
  });
}

Deno.test("neither a bot nor a public key may ask, and a database that is down is a 503", async () => {
  await withoutNetwork(async () => {
    await logged(async () => {
      const others: Record<string, string>[] = [
        { authorization: "Bearer token-of-a-bot" },
        { apikey: "sb_publishable_default" },
      ];
      for (const headers of others) {
        const refused = await handler(post({}, headers));
        assert.equal(refused.status, 403);
        await refused.body?.cancel();
      }
      for (const request of [status(), post({})]) {
        const answer = await handler(request);
        assert.equal(answer.status, 503);
        await answer.body?.cancel();
      }
    });
  });
});
