import assert from "node:assert/strict";
import { logged, post, type Seen, withNetwork, withoutNetwork } from "../_shared/testing.ts";
import { handler } from "./handler.ts";
import { KEY, RESOLUTION, strength } from "./testing.ts";

type Row = Record<string, unknown>;

const multiplierOf = (answer: { strength: { multiplier: number } }) => answer.strength.multiplier;

const batch = (seen: Seen) => {
  const { requests } = seen.body as { requests: Row[] };
  return Response.json(requests.map((_, index) => ({ ...RESOLUTION, multiplier: 1 + index })));
};

for (
  const [scope, path] of [
    ['{"ok": 9007199254740992, "rank": 9007199254740993}', ["scope", "rank"]],
    ['{"rank": -9007199254740993.0}', ["scope", "rank"]],
    ['{"rank": 1e20}', ["scope", "rank"]],
    ['{"rank": 1e400}', ["scope", "rank"]],
    [`{"rank": 1.${"5".repeat(16_500)}}`, ["scope", "rank"]],
    [`{"rank": ["x", {"a": ${"9".repeat(401)}}]}`, ["scope", "rank", 1, "a"]],
    [`{${Array.from({ length: 10_001 }, (_, n) => `"${n}":1`)}}`, ["scope"]],
    [`${'{"a":'.repeat(300)}1${"}".repeat(300)}`, []],
    [`${"[".repeat(1_000_000)}${"]".repeat(1_000_000)}`, []],
  ] as [string, (string | number)[]][]
) {
  Deno.test(`a scope of ${scope.slice(0, 40)} is bad input, alone in its batch`, async () => {
    const good = JSON.stringify({ ...KEY, size_frac: 0.1 });
    const bad = `{"pattern_key": "p", "action_category": "entry", "size_frac": 0.1, "scope": ${scope}}`;
    await withNetwork(batch, async () => {
      await logged(async () => {
        const answer = await handler(post(`[${good}, ${bad}, ${good}]`));
        assert.deepEqual([answer.status, answer.headers.get("x-pm-strength")], [200, null]);
        const answers = await answer.json();
        assert.deepEqual(answers.map(({ reason }: Row) => reason), ["matched", "bad_input", "matched"]);
        assert.deepEqual(answers[1].issues.map(({ path }: Row) => path), [path]);
        assert.match(answers[1].error, /expected/);
        assert.deepEqual(answers[1].strength, strength(1, "bad_input", 0.1, null));
        assert.equal(answers[1].size_frac, 0.1);
      });
    });
  });
}

Deno.test("many requests go at once, and a bad one spoils no other", async () => {
  const seen = await withNetwork(batch, async () => {
    await logged(async () => {
      const body = [KEY, null, {
        ...KEY,
        module: "dm",
        scope: { rank: 2 },
        strategy: "most_specific",
        size_frac: 0.1,
      }];
      const answer = await handler(post(body));
      assert.equal(answer.status, 200);
      const [first, bad, last] = await answer.json();
      assert.deepEqual(first, {
        size_frac: null,
        strength: strength(1),
        reason: "matched",
        strategy: "blend",
        matched: 1,
        matches: [{ id: 1 }],
        run_id: 7,
        as_of: RESOLUTION.as_of,
      });
      assert.deepEqual([bad.strength, bad.strategy], [strength(1, "bad_input", null, null), null]);
      assert.deepEqual([bad.reason, bad.matches], ["bad_input", []]);
      assert.deepEqual([last.strength, last.size_frac], [strength(2, "matched", 0.1), 0.2]);
    });
  });
  assert.equal(seen.length, 1);
  assert.equal(seen[0]!.url.pathname, "/rest/v1/rpc/resolve_pm_strength_batch");
  const asked = seen[0]!.body as Row;
  assert.equal(asked.match_limit, 20);
  assert.deepEqual(asked.requests, [
    { module: "pm", ...KEY, scope: {}, strategy: null, trade_id: null },
    { module: "dm", ...KEY, scope: { rank: 2 }, strategy: "most_specific", trade_id: null },
  ]);
});

Deno.test("one request gets one answer", async () => {
  await withNetwork(batch, () =>
    logged(async () => {
      assert.equal((await (await handler(post(KEY))).json()).strength.multiplier, 1);
      const bad = await handler(post({}));
      assert.deepEqual([bad.status, (await bad.json()).reason], [200, "bad_input"]);
      for (const none of ["5", "null", '"x"', "true"]) {
        const refused = await handler(post(none));
        assert.equal(refused.status, 422, none);
        await refused.body?.cancel();
      }
    }).then(() => {}));
});

Deno.test("the rest is asked for where a batch ended early", async () => {
  const halves = (seen: Seen) => {
    const { requests } = seen.body as { requests: Row[] };
    return Response.json(
      requests.slice(0, Math.ceil(requests.length / 2)).map(({ scope }) => ({
        ...RESOLUTION,
        multiplier: (scope as Row).n,
      })),
    );
  };
  const seen = await withNetwork(halves, async () => {
    await logged(async () => {
      const body = Array.from({ length: 7 }, (_, n) => ({ ...KEY, scope: { n } }));
      const answers = await (await handler(post(body))).json();
      assert.deepEqual(answers.map(multiplierOf), [0, 1, 2, 3, 4, 5, 6]);
    });
  });
  assert.deepEqual(seen.map(({ body }) => (body as { requests: Row[] }).requests.length), [7, 3, 1]);
});

Deno.test("the number of matches shown can be chosen", async () => {
  const seen = await withNetwork(batch, async () => {
    await logged(async () => {
      for (const wanted of ["0", "1000"]) {
        await (await handler(post(KEY, {}, `?matches=${wanted}`))).body?.cancel();
      }
      for (const wanted of ["-1", "1001", "x", ""]) {
        const answer = await handler(post(KEY, {}, `?matches=${wanted}`));
        assert.equal(answer.status, 422, wanted);
        await answer.body?.cancel();
      }
    });
  });
  assert.deepEqual(seen.map(({ body }) => (body as Row).match_limit), [0, 1000]);
});

Deno.test("a database that is down stops no bot, and a header says so", async () => {
  await withoutNetwork(async () => {
    await logged(async () => {
      const answer = await handler(
        post([{ ...KEY, size_frac: 0.3 }, {}, { ...KEY, size_frac: 7, exposure_skew: 0.1 }]),
      );
      assert.deepEqual([answer.status, answer.headers.get("x-pm-strength")], [200, "unavailable"]);
      const answers = await answer.json();
      assert.deepEqual(answers.map(({ reason }: Row) => reason), ["unavailable", "bad_input", "unavailable"]);
      assert.deepEqual(answers.map(multiplierOf), [1, 1, 1]);
      assert.deepEqual(answers.map(({ size_frac }: Row) => size_frac), [0.3, null, 7 * 0.1]);
    });
  });
});

for (
  const answer of [
    () => Response.json({ code: "22003", message: "out of range" }, { status: 400 }),
    () =>
      Response.json({ code: "57014", message: "canceling statement due to statement timeout" }, {
        status: 500,
      }),
    () => new Response("<html>Bad gateway</html>", { status: 502 }),
    () => new Response("[{", { status: 200, headers: { "content-type": "application/json" } }),
    () => Response.json([]),
  ]
) {
  Deno.test(`whatever the database answers, a bot gets 1.0: ${answer}`, async () => {
    await withNetwork(answer, async () => {
      const log = await logged(async () => {
        const sized = await handler(post({ ...KEY, size_frac: 0.3 }));
        assert.deepEqual([sized.status, sized.headers.get("x-pm-strength")], [200, "unavailable"]);
        const answer = await sized.json();
        assert.deepEqual(answer.strength, strength(1, "unavailable", 0.3, null));
        assert.deepEqual([answer.size_frac, answer.reason, answer.strategy], [0.3, "unavailable", null]);
      });
      assert.match(log, /"level":"error".*"error":"/);
    });
  });
}

Deno.test("a database that refuses the key is an error, not a multiplier of 1", async () => {
  const refusal = () => Response.json({ code: "42501", message: "no" }, { status: 403 });
  await withNetwork(refusal, async () => {
    await logged(async () => {
      const answer = await handler(post(KEY));
      assert.equal(answer.status, 403);
      await answer.body?.cancel();
    });
  });
});

Deno.test("a reader asks with its own token, a plain user not at all", async () => {
  const { SignJWT } = await import("jose");
  const { SECRET } = await import("../_shared/testing.ts");
  const sign = (claims: Row) =>
    new SignJWT({ role: "authenticated", ...claims }).setProtectedHeader({ alg: "HS256" }).sign(
      new TextEncoder().encode(SECRET),
    );
  const token = await sign({ app_metadata: { pm_strength: "read" } });
  const seen = await withNetwork(batch, async () => {
    await logged(async () => {
      const answer = await handler(
        post(KEY, { authorization: `Bearer ${token}`, apikey: "sb_publishable_default" }),
      );
      assert.equal(answer.status, 200);
      await answer.body?.cancel();
      for (const other of [await sign({}), "token-of-a-bot"]) {
        const refused = await handler(post(KEY, { authorization: `Bearer ${other}` }));
        assert.equal(refused.status, 403);
        await refused.body?.cancel();
      }
    });
  });
  assert.deepEqual(seen.map(({ headers }) => [headers.get("authorization"), headers.get("apikey")]), [
    [`Bearer ${token}`, "sb_publishable_default"],
  ]);
});

Deno.test("a thousand and no more", async () => {
  await withNetwork(batch, () =>
    logged(async () => {
      assert.equal((await (await handler(post(Array(1000).fill(KEY)))).json()).length, 1000);
      const answer = await handler(post(Array(1001).fill(KEY)));
      assert.equal(answer.status, 422);
      await answer.body?.cancel();
      assert.deepEqual(await (await handler(post([]))).json(), []);
    }).then(() => {}));
});
