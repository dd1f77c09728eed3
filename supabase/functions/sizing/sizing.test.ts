import assert from "node:assert/strict";
import type { Resolution } from "../_shared/database.ts";
import { parseJson } from "../_shared/json_reader.ts";
import { handlerOf, logged, post, type Seen, withNetwork, withoutNetwork } from "../_shared/testing.ts";
import { answerOf, readItem } from "./sizing.ts";

type Row = Record<string, unknown>;
const KEY = { pattern_key: "p", action_category: "entry" };
const RESOLUTION: Resolution = {
  multiplier: 1.5,
  reason: "matched",
  matched: 1,
  matches: [{ id: 1 }],
  run_id: 7,
  as_of: "2026-01-05T10:10:00+00:00",
};
const answered = (request: Row, resolution: Resolution | null = RESOLUTION) =>
  answerOf(readItem(request), resolution);

Deno.test("a pattern key is made, or taken as it is", () => {
  const made = readItem({
    action_type: "E1",
    action_context: { state: "S1" },
    uptrend_signals: { buy_flag: true },
  });
  assert.deepEqual(made.request, {
    pattern_key: "module=pm|pattern_key=uptrend.S1.buy_flag",
    action_category: "entry",
    scope: {},
    strategy: null,
  });
  assert.equal(readItem({ pattern_key: "any", action_category: "BUY" }).request?.action_category, "entry");
  assert.equal(readItem({ pattern_key: "any", action_type: "scale_up" }).request?.action_category, "add");
});

for (
  const [request, path] of [
    [{}, ["pattern_key"]],
    [{ pattern_key: "p" }, ["action_category"]],
    [{ pattern_key: "", action_category: "entry" }, ["pattern_key"]],
    [{ pattern_key: 5, action_category: "entry" }, ["pattern_key"]],
    [{ pattern_key: "p\u0000", action_category: "entry" }, ["pattern_key"]],
    [{ pattern_key: "p", action_category: "hodl" }, ["action_category"]],
    [{ action_type: "hodl" }, ["action_type"]],
    [{ action_type: "entry", action_category: "trim" }, ["action_category"]],
    [{ action_type: "entry", action_context: [] }, ["action_context"]],
    [{ action_type: "entry", uptrend_signals: "x" }, ["uptrend_signals"]],
    [{ action_type: "entry", action_context: { state: {} } }, ["action_context", "state"]],
    [{ action_type: "entry", action_context: { state: "\ud800" } }, ["action_context"]],
    [{ ...KEY, strategy: "best" }, ["strategy"]],
    [null, []],
    ["x", []],
    [[KEY], []],
  ] as [unknown, string[]][]
) {
  Deno.test(`${JSON.stringify(request)} is wrong at ${path.join(".") || "all of it"}`, () => {
    const item = readItem(request);
    assert.equal(item.request, null);
    assert.deepEqual(item.issues.map((issue) => issue.path), [path]);
    const answer = answerOf(item, null);
    assert.deepEqual([answer.strength, answer.reason], [1, "bad_input"]);
    assert.match(String(answer.error), /expected/);
  });
}

Deno.test("a scope is what an override could have of it", () => {
  const scope = parseJson(`{"a": "x", "b": 1.0, "c": false, "d": null, "e": "", "f": [1], "g": {"h": 1},
    "i": 9007199254740992, "j": 0.12345678901234567890, "k": 1e-400, "l": "\\u0000", "m\\ud800": 1, "__proto__": "p"}`);
  const read = readItem({ ...KEY, scope }).request!;
  assert.equal(
    JSON.stringify(read.scope),
    '{"a":"x","b":1,"c":false,"i":9007199254740992,"j":0.12345678901234567890,"__proto__":"p"}',
  );
  for (const none of [null, undefined, "x", [1], 5]) {
    assert.deepEqual(readItem({ ...KEY, scope: none }).request?.scope, {});
  }
});

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
    const handler = await handlerOf("sizing");
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
        assert.deepEqual([answers[1].strength, answers[1].size_frac], [1, 0.1]);
      });
    });
  });
}

Deno.test("dimensions are counted no further than the limit", () => {
  const scope = Object.fromEntries(Array.from({ length: 100_000 }, (_, n) => [`k${n}`, n]));
  let reads = 0;
  const counted = new Proxy({ ...scope, last: 1e20 }, {
    get: (target, key) => {
      reads++;
      return Reflect.get(target, key);
    },
  });
  assert.deepEqual(readItem({ ...KEY, scope: counted }).issues, [
    { path: ["scope"], message: "expected at most 10000 dimensions, got more" },
  ]);
  // all are read once to see whether they are JSON
  assert.ok(reads < 120_000, `${reads}`);
});

Deno.test("of a long number and a long key an answer shows the beginning", () => {
  const long = `9${"0".repeat(1000)}1`;
  const key = "k".repeat(100_000);
  const inner = Array(500).fill(long).join(",");
  const { issues } = readItem(parseJson(`{"scope": {"${key}": [${inner}]}}`));
  assert.equal(issues.length, 100);
  assert.ok(JSON.stringify(issues).length < 100_000);
});

for (
  const [request, size] of [
    [{ size_frac: 0.2 }, 0.2 * 1.5],
    [{ size_frac: 0.2, exposure_skew: 0.5 }, 0.2 * 1.5 * 0.5],
    [{ size_frac: 0.9 }, 1],
    [{ size_frac: -1 }, 0],
    [{ size_frac: 0.2, exposure_skew: null }, 0.2 * 1.5],
    [{ size_frac: 0.2, exposure_skew: "2" }, 0.2 * 1.5],
    [{ size_frac: 1e300, exposure_skew: 1e300 }, 1],
    [{ size_frac: 0.2, exposure_skew: -1 }, 0],
    [{}, null],
    [{ size_frac: 0.2, action_category: "scale_up" }, 0.2 * 1.5],
    [{ size_frac: 0.2, action_category: "trim" }, 0.2],
    [{ size_frac: "all", action_category: "sell" }, "all"],
  ] as [Row, unknown][]
) {
  Deno.test(`${JSON.stringify(request)} is sized ${size}`, () => {
    const answer = answered({ ...KEY, ...request });
    assert.deepEqual([answer.size_frac, answer.strength, answer.reason], [size, 1.5, "matched"]);
  });
}

for (const size of [null, "0.2", true, parseJson("1e400"), [1]]) {
  Deno.test(`a size of ${JSON.stringify(size)} is 0, and bad input`, () => {
    const answer = answered({ ...KEY, size_frac: size });
    assert.deepEqual([answer.size_frac, answer.reason], [0, "bad_input"]);
    assert.deepEqual((answer.issues as { path: string[] }[]).map(({ path }) => path), [["size_frac"]]);
  });
}

for (const size of ["LONG", "[LONG]", `{"a": LONG}`, `${"[".repeat(300)}1${"]".repeat(300)}`]) {
  Deno.test(`a size of ${size.slice(0, 20)} that is not read is not given back`, () => {
    const long = `0.${"1".repeat(1000)}`;
    const request = `{"pattern_key": "q", "action_category": "trim", "size_frac": ${size}}`;
    const answer = answered(parseJson(request.replace("LONG", long)) as Row);
    assert.deepEqual([answer.size_frac, answer.reason], [null, "bad_input"]);
    assert.equal((answer.issues as unknown[]).length, 1);
  });
}

const batch = (seen: Seen) => {
  const { requests } = seen.body as { requests: Row[] };
  return Response.json(requests.map((_, index) => ({ ...RESOLUTION, multiplier: 1 + index })));
};

Deno.test("many are asked at once, and a bad one spoils no other", async () => {
  const handler = await handlerOf("sizing");
  const seen = await withNetwork(batch, async () => {
    await logged(async () => {
      const body = [KEY, null, { ...KEY, scope: { rank: 2 }, strategy: "most_specific", size_frac: 0.1 }];
      const answer = await handler(post(body));
      assert.equal(answer.status, 200);
      const [first, bad, last] = await answer.json();
      assert.deepEqual([first.strength, first.size_frac, first.run_id, first.as_of], [
        1,
        null,
        7,
        RESOLUTION.as_of,
      ]);
      assert.deepEqual([bad.strength, bad.reason, bad.matches], [1, "bad_input", []]);
      assert.deepEqual([last.strength, last.size_frac], [2, 0.2]);
    });
  });
  assert.equal(seen.length, 1);
  assert.equal(seen[0]!.url.pathname, "/rest/v1/rpc/resolve_pm_strength_batch");
  const asked = seen[0]!.body as Row;
  assert.equal(asked.match_limit, 20);
  assert.deepEqual((asked.requests as Row[]).map(({ strategy }) => strategy), [null, "most_specific"]);
});

Deno.test("one request gets one answer", async () => {
  const handler = await handlerOf("sizing");
  await withNetwork(batch, () =>
    logged(async () => {
      assert.equal((await (await handler(post(KEY))).json()).strength, 1);
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
  const handler = await handlerOf("sizing");
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
      assert.deepEqual(answers.map(({ strength }: Row) => strength), [0, 1, 2, 3, 4, 5, 6]);
    });
  });
  assert.deepEqual(seen.map(({ body }) => (body as { requests: Row[] }).requests.length), [7, 3, 1]);
});

Deno.test("the number of matches shown can be chosen", async () => {
  const handler = await handlerOf("sizing");
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

Deno.test("a database that is down stops no bot, and is told", async () => {
  const handler = await handlerOf("sizing");
  await withoutNetwork(async () => {
    await logged(async () => {
      const answer = await handler(
        post([{ ...KEY, size_frac: 0.3 }, {}, { ...KEY, size_frac: 7, exposure_skew: 0.1 }]),
      );
      assert.deepEqual([answer.status, answer.headers.get("x-pm-strength")], [200, "unavailable"]);
      const answers = await answer.json();
      assert.deepEqual(answers.map(({ reason }: Row) => reason), ["unavailable", "bad_input", "unavailable"]);
      assert.deepEqual(answers.map(({ strength }: Row) => strength), [1, 1, 1]);
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
    const handler = await handlerOf("sizing");
    await withNetwork(answer, async () => {
      const log = await logged(async () => {
        const sized = await handler(post({ ...KEY, size_frac: 0.3 }));
        assert.deepEqual([sized.status, sized.headers.get("x-pm-strength")], [200, "unavailable"]);
        const { strength, size_frac, reason } = await sized.json();
        assert.deepEqual([strength, size_frac, reason], [1, 0.3, "unavailable"]);
      });
      assert.match(log, /"level":"error".*"error":"/);
    });
  });
}

Deno.test("a database that refuses the key is an error, and no 1.0", async () => {
  const handler = await handlerOf("sizing");
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
  const handler = await handlerOf("sizing");
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
  const handler = await handlerOf("sizing");
  await withNetwork(batch, () =>
    logged(async () => {
      assert.equal((await (await handler(post(Array(1000).fill(KEY)))).json()).length, 1000);
      const answer = await handler(post(Array(1001).fill(KEY)));
      assert.equal(answer.status, 422);
      await answer.body?.cancel();
      assert.deepEqual(await (await handler(post([]))).json(), []);
    }).then(() => {}));
});
