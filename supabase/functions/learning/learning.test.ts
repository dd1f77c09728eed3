import assert from "node:assert/strict";
import { handlerOf, logged, post, withNetwork, withoutNetwork } from "../_shared/testing.ts";
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
  Deno.test(`${JSON.stringify(body)} asks for ${jobs}`, () => assert.deepEqual(readJobs(body), { jobs }));
}

for (
  const body of [5, "mine", ["mine"], { jobs: "mine" }, { jobs: [] }, { jobs: ["dance"] }, { job: "mine" }]
) {
  Deno.test(`${JSON.stringify(body)} asks for nothing that there is`, () =>
    assert.ok("issues" in readJobs(body)));
}

const status = () => new Request("http://localhost/", { headers: { apikey: "sb_secret_default" } });

Deno.test("GET tells of queues, dead letters and runs", async () => {
  const handler = await handlerOf("learning");
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
  const handler = await handlerOf("learning");
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
  assert.deepEqual(seen.map(({ body }) => body), [{ job: "mine" }, { job: "materialize" }]);
});

Deno.test("neither a bot nor a public key may ask, and a database that is down is told", async () => {
  const handler = await handlerOf("learning");
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
