import assert from "node:assert/strict";
import { parseJson } from "../_shared/json_reader.ts";
import { logged, post, withNetwork, withoutNetwork } from "../_shared/testing.ts";
import { handler } from "./handler.ts";
import { readStrands } from "./strand.ts";

type Case = { name: string; path: (string | number)[] | null; strand: Record<string, unknown> };
const CASES = parseJson(await Deno.readTextFile(new URL("./strand.cases.json", import.meta.url))) as Case[];

const GOOD = CASES.find(({ path }) => path === null)!.strand;
const pathsOf = (body: unknown) => {
  const read = readStrands(body);
  return "issues" in read ? read.issues.map(({ path }) => path) : [];
};

for (const { name, path, strand } of CASES) {
  Deno.test(`${name} is ${path === null ? "taken" : `refused at ${path.join(".").slice(0, 60)}`}`, () => {
    assert.deepEqual(pathsOf(strand), path === null ? [] : [path]);
  });
}

for (
  const [field, value] of [
    ["id", undefined],
    ["id", ""],
    ["id", null],
    ["id", 1.5],
    ["id", "x".repeat(501)],
    ["module", undefined],
    ["module", ""],
    ["kind", 5],
    ["content", undefined],
    ["content", "{}"],
    ["content", []],
    ["symbol", 5],
    ["timeframe", {}],
    ["position_id", true],
    ["created_at", "soon"],
    ["created_at", 5],
  ] as const
) {
  Deno.test(`${field} ${JSON.stringify(value)?.slice(0, 20)} is named`, () => {
    assert.deepEqual(pathsOf({ ...GOOD, [field]: value }), [[field]]);
    assert.deepEqual(pathsOf([GOOD, { ...GOOD, [field]: value }]), [[1, field]]);
  });
}

for (const value of [null, 5, "x", true, []]) {
  Deno.test(`${JSON.stringify(value)} in an array is not a strand`, () =>
    assert.deepEqual(pathsOf([value]), [[0]]));
}

Deno.test("other modules and kinds hold what they like, and more columns", () => {
  assert.deepEqual(pathsOf({ id: 1, module: "dm", kind: "position_closed", content: {}, mood: "good" }), []);
  assert.deepEqual(pathsOf({ id: "1", module: "pm", kind: "note", content: { trade_summary: 5 } }), []);
});

Deno.test("an id may be any bigint, and no more", () => {
  const strand = (id: string) => parseJson(`{"id": ${id}, "module": "m", "kind": "k", "content": {}}`);
  for (
    const id of [
      "9223372036854775807",
      "-9223372036854775808",
      "9007199254740993",
      "9223372036854775000",
      "0",
    ]
  ) {
    assert.deepEqual(pathsOf(strand(id)), [], id);
  }
  for (
    const id of [
      "9223372036854775808",
      "9223372036854776000",
      "-9223372036854776000",
      "1e300",
      "1e400",
      "9007199254740993.5",
    ]
  ) {
    assert.deepEqual(pathsOf(strand(id)), [["id"]], id);
  }
});

Deno.test("what jsonb cannot hold is found where it is", () => {
  const content = { a: [{ b: "x\u0000" }], c: { "\ud800": 1 } };
  assert.deepEqual(pathsOf({ id: "1", module: "m", kind: "k", content }).sort(), [
    ["content", "a", 0, "b"],
    ["content", "c", "\ufffd"],
  ]);
  const holding = (number: string) =>
    parseJson(`{"id": "1", "module": "m", "kind": "k", "content": {"a": ${number}}}`);
  for (const number of ["1e400", "-1e131071", "1e-16383", "1" + "0".repeat(399), "1.5" + "0".repeat(1000)]) {
    assert.deepEqual(pathsOf(holding(number)), [], number);
  }
  for (const number of ["1e131073", "-1e999999999", "1e-16384", "1.0e-16383", "1" + "0".repeat(400)]) {
    assert.deepEqual(pathsOf(holding(number)), [["content", "a"]], number);
  }
});

Deno.test("depth has an end", () => {
  const nested = (levels: number) => parseJson(`{"a":`.repeat(levels) + "1" + "}".repeat(levels));
  assert.deepEqual(pathsOf({ id: "1", module: "m", kind: "k", content: nested(190) }), []);
  assert.deepEqual(pathsOf({ id: "1", module: "m", kind: "k", content: nested(300) }), [[]]);
});

Deno.test("a long number is refused in any column and at any place, and all are reported", () => {
  const long = `0.${"1".repeat(20_000)}`;
  const body = parseJson(
    `[{"id": ${long}, "module": "m", "kind": "k", "content": {"a": [${long}]}, "x": ${long}}]`,
  );
  assert.deepEqual(pathsOf(body), [[0, "id"], [0, "content", "a", 0], [0, "x"]]);
});

Deno.test("issues have an end", () => {
  const content = { ["k".repeat(100_000)]: Array(5000).fill("\u0000") };
  const read = readStrands({ id: "1", module: "m", kind: "k", content });
  assert.ok("issues" in read && read.issues.length === 1000);
  assert.ok(JSON.stringify(read.issues).length < 1_000_000);
});

const CLOSE = { module: "pm", kind: "position_closed", trade_id: "6b7e3c64-41c4-4f1b-a8b4-0d6c1f7a5b11" };
const ACTION = { pattern_key: "p", action_category: "entry" };
const LIMIT = 1024 * 1024;
/** A value that takes so many bytes as Postgres prints it. */
const bytes = (count: number) => ({ n: "x".repeat(count - '{"n": ""}'.length) });

for (
  const [name, strand, path] of [
    ["a summary within 1 MB", {
      content: { trade_summary: { rr: 1, ...bytes(LIMIT - '"rr": 1, '.length) } },
    }, []],
    ["a summary over 1 MB", {
      content: { trade_summary: { rr: 1, ...bytes(LIMIT - '"rr": 1, '.length + 1) } },
    }, [["content"]]],
    ["summary and entry context over 1 MB together", {
      content: { trade_summary: { rr: 1 }, entry_context: bytes(LIMIT - '{"rr": 1}'.length + 1) },
    }, [["content"]]],
    ["short numbers that Postgres prints long", {
      content: { trade_summary: { rr: 1, a: Array(3500).fill(1e300) } },
    }, [["content"]]],
    ["a scope over 1 MB", { kind: "pm_action", content: { ...ACTION, scope: { a: [bytes(LIMIT)] } } }, [[
      "content",
    ]]],
    ["a scope that nothing is learned from", {
      kind: "pm_action",
      content: { action_category: "entry", scope: { a: [bytes(LIMIT)] } },
    }, []],
    ["the rest of a close", {
      content: { trade_summary: { rr: 1 }, candles: bytes(2 * LIMIT), scope: bytes(2 * LIMIT) },
    }, []],
    [
      "the rest of an action",
      { kind: "pm_action", content: { ...ACTION, trade_summary: bytes(2 * LIMIT) } },
      [],
    ],
  ] as [string, Record<string, unknown>, string[][]][]
) {
  Deno.test(`${name} is ${path.length === 0 ? "taken" : "refused"}`, () => {
    const read = readStrands({ ...CLOSE, id: "1", ...strand });
    const issues = "issues" in read ? read.issues : [];
    assert.deepEqual(issues.map((issue) => issue.path), path);
    for (const { message } of issues) {
      assert.equal(message, "expected at most 1 MB of trade_summary, entry_context and scope");
    }
  });
}

Deno.test("a column name that no table has is named", () => {
  const strand = { id: "1", module: "m", kind: "k", content: {} };
  assert.deepEqual(pathsOf({ ...strand, ["c".repeat(63)]: 1 }), []);
  assert.deepEqual(pathsOf({ ...strand, ["c".repeat(64)]: 1, ["é".repeat(32)]: 1 }), [
    ["c".repeat(63)],
    ["é".repeat(32)],
  ]);
  assert.deepEqual(pathsOf([strand, { ...strand, id: "2", ["c".repeat(70_000)]: 1 }]), [[1, "c".repeat(63)]]);
});

Deno.test("columns go to PostgREST in the URL, which has room for so many", () => {
  const wide = (count: number) =>
    Object.fromEntries(Array.from({ length: count }, (_, n) => [`column_${n}`, n]));
  const strand = { id: "1", module: "m", kind: "k", content: {} };
  assert.deepEqual(pathsOf({ ...strand, ...wide(200) }), []);
  assert.deepEqual(pathsOf({ ...strand, ...wide(2000) }), [[]]);
  const each = Array.from({ length: 1000 }, (_, n) => ({ ...strand, id: `${n}`, [`column_${n}`]: n }));
  assert.deepEqual(pathsOf(each), [[]]);
});

Deno.test("every bad field of every strand is reported", () => {
  const close = { ...GOOD, content: { trade_summary: { rr: "1", trimmed: 1 }, entry_context: [] } };
  assert.deepEqual(pathsOf([GOOD, { ...close, id: "t" }, { ...GOOD, id: "" }]), [
    [1, "content", "trade_summary", "rr"],
    [1, "content", "trade_summary", "trimmed"],
    [1, "content", "entry_context"],
    [2, "id"],
  ]);
});

Deno.test("an id twice is a retry if the strand is the same, else an error", () => {
  assert.deepEqual(pathsOf([GOOD, { ...GOOD }]), []);
  assert.deepEqual(pathsOf([GOOD, { ...GOOD, symbol: "other" }]), [[1, "id"]]);
});

Deno.test("a thousand and no more", () => {
  const strands = (count: number) => Array.from({ length: count }, (_, n) => ({ ...GOOD, id: `${n}` }));
  assert.deepEqual(pathsOf(strands(1000)), []);
  assert.deepEqual(pathsOf(strands(1001)), [[]]);
});

Deno.test("strands go to the table as they are, once for each id", async () => {
  const body = `[{"id": "1", "module": "m", "kind": "k", "content": {"n": 0.12345678901234567890}},
    {"id": "2", "module": "m", "kind": "k", "content": {}, "symbol": "BTC"}]`;
  let sent = "";
  const seen = await withNetwork(() => Response.json([{ id: "1" }], { status: 201 }), async () => {
    const fetched = globalThis.fetch;
    globalThis.fetch = async (input, init) => {
      sent = String(init?.body);
      return await fetched(input, init);
    };
    await logged(async () => {
      const answer = await handler(post(body, { apikey: "", authorization: "Bearer token-of-another-bot" }));
      assert.equal(answer.status, 201);
      assert.deepEqual(await answer.json(), { inserted: 1, duplicates: 1 });
    });
  });
  assert.equal(seen.length, 1);
  const { url, headers } = seen[0]!;
  assert.equal(url.pathname, "/rest/v1/ad_strands");
  assert.equal(url.searchParams.get("on_conflict"), "id");
  assert.match(headers.get("prefer") ?? "", /resolution=ignore-duplicates/);
  assert.match(headers.get("prefer") ?? "", /missing=default/);
  // with the project's own key: the bot has none
  assert.equal(headers.get("apikey"), "sb_secret_default");
  assert.match(sent, /0\.12345678901234567890/);
});

Deno.test("defaults are asked for only where some strand lacks a column", async () => {
  const wide = { id: "1", module: "m", kind: "k", content: {}, symbol: "BTC" };
  const { symbol: _, ...narrow } = { ...wide, id: "2" };
  const turned = Object.fromEntries(Object.entries({ ...wide, id: "3" }).reverse());
  const seen = await withNetwork(() => Response.json([], { status: 201 }), async () => {
    await logged(async () => {
      for (const body of [[wide], wide, [wide, turned], [wide, narrow]]) {
        assert.equal((await handler(post(body))).status, 201);
      }
    });
  });
  const asked = seen.map(({ headers }) => headers.get("prefer")?.includes("missing=default"));
  assert.deepEqual(asked, [false, false, false, true]);
});

Deno.test("nothing is written where a strand is bad, and nothing where there is none", async () => {
  const seen = await withoutNetwork(async () => {
    await logged(async () => {
      const bad = await handler(post([GOOD, { ...GOOD, id: 1.5 }]));
      assert.equal(bad.status, 422);
      assert.deepEqual((await bad.json()).issues.map(({ path }: { path: unknown }) => path), [[1, "id"]]);
      const none = await handler(post([]));
      assert.deepEqual([none.status, await none.json()], [201, { inserted: 0, duplicates: 0 }]);
    });
  });
  assert.deepEqual(seen, []);
});

Deno.test("a database that is down asks to try again", async () => {
  await withoutNetwork(async () => {
    await logged(async () => {
      const answer = await handler(post(GOOD));
      assert.deepEqual([answer.status, answer.headers.get("retry-after")], [503, "1"]);
      assert.equal((await answer.json()).code, "unavailable");
    });
  });
});

Deno.test("a user may not insert, with the claim to read neither", async () => {
  const { SignJWT } = await import("jose");
  const { SECRET } = await import("../_shared/testing.ts");
  const token = await new SignJWT({ role: "authenticated", app_metadata: { pm_strength: "read" } })
    .setProtectedHeader({ alg: "HS256" }).sign(new TextEncoder().encode(SECRET));
  await logged(async () => {
    const answer = await handler(post(GOOD, { authorization: `Bearer ${token}` }));
    assert.equal(answer.status, 403);
    await answer.body?.cancel();
  });
});
