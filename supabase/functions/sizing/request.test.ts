import assert from "node:assert/strict";
import { parseJson } from "../_shared/json_reader.ts";
import { readRequest } from "./request.ts";
import { answerOf } from "./size.ts";
import { KEY, strength } from "./testing.ts";

Deno.test("a pattern key is made, or taken as it is", () => {
  const made = readRequest({
    action_type: "E1",
    action_context: { state: "S1" },
    uptrend_signals: { buy_flag: true },
  });
  assert.deepEqual(made.resolve, {
    module: "pm",
    pattern_key: "module=pm|pattern_key=uptrend.S1.buy_flag",
    action_category: "entry",
    scope: {},
    strategy: null,
    trade_id: null,
  });
  assert.equal(readRequest({ pattern_key: "any", action_category: "BUY" }).resolve?.action_category, "entry");
  assert.equal(readRequest({ pattern_key: "any", action_type: "scale_up" }).resolve?.action_category, "add");
  assert.equal(
    readRequest({ decision_type: "add" }).resolve?.pattern_key,
    "module=pm|pattern_key=uptrend.Unknown.add",
  );
});

Deno.test("a request names its module, or it is pm", () => {
  for (const module of ["dm", "m".repeat(100), "\u{1f600}".repeat(100)]) {
    assert.equal(readRequest({ ...KEY, module }).resolve?.module, module);
  }
  assert.equal(readRequest(KEY).resolve?.module, "pm");
  assert.equal(readRequest({ ...KEY, module: null }).resolve?.module, "pm");
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
    [{ pattern_key: "p", decision_type: "hodl" }, ["decision_type"]],
    [{ decision_type: "hodl" }, ["decision_type"]],
    [{ action_category: "entry", decision_type: "hodl" }, ["decision_type"]],
    [{ action_category: "entry", decision_type: "trim" }, ["action_category"]],
    [{ ...KEY, strategy: "best" }, ["strategy"]],
    [{ ...KEY, module: "" }, ["module"]],
    [{ ...KEY, module: 5 }, ["module"]],
    [{ ...KEY, module: "m".repeat(101) }, ["module"]],
    [{ ...KEY, module: "m\ud800" }, ["module"]],
    [{ action_type: "entry", module: "dm" }, ["module"]],
    [null, []],
    ["x", []],
    [[KEY], []],
  ] as [unknown, string[]][]
) {
  Deno.test(`${JSON.stringify(request)} is wrong at ${path.join(".") || "all of it"}`, () => {
    const read = readRequest(request);
    assert.equal(read.resolve, null);
    assert.deepEqual(read.issues.map((issue) => issue.path), [path]);
    const answer = answerOf(read, null);
    assert.deepEqual([answer.strength, answer.reason], [strength(1, "bad_input", null, null), "bad_input"]);
    assert.match(String(answer.error), /expected/);
  });
}

Deno.test("a scope is what an override could have of it", () => {
  const scope = parseJson(`{"a": "x", "b": 1.0, "c": false, "d": null, "e": "", "f": [1], "g": {"h": 1},
    "i": 9007199254740992, "j": 0.12345678901234567890, "k": 1e-400, "l": "\\u0000", "m\\ud800": 1, "__proto__": "p"}`);
  const read = readRequest({ ...KEY, scope }).resolve!;
  assert.equal(
    JSON.stringify(read.scope),
    '{"a":"x","b":1,"c":false,"i":9007199254740992,"j":0.12345678901234567890,"__proto__":"p"}',
  );
  for (const none of [null, undefined, "x", [1], 5]) {
    assert.deepEqual(readRequest({ ...KEY, scope: none }).resolve?.scope, {});
  }
});

Deno.test("dimensions are counted no further than the limit", () => {
  const scope = Object.fromEntries(Array.from({ length: 100_000 }, (_, n) => [`k${n}`, n]));
  let reads = 0;
  const counted = new Proxy({ ...scope, last: 1e20 }, {
    get: (target, key) => {
      reads++;
      return Reflect.get(target, key);
    },
  });
  assert.deepEqual(readRequest({ ...KEY, scope: counted }).issues, [
    { path: ["scope"], message: "expected at most 10000 dimensions, got more" },
  ]);
  // all are read once to see whether they are JSON
  assert.ok(reads < 120_000, `${reads}`);
});

Deno.test("of a long number and a long key an answer shows the beginning", () => {
  const long = `9${"0".repeat(1000)}1`;
  const key = "k".repeat(100_000);
  const inner = Array(500).fill(long).join(",");
  const { issues } = readRequest(parseJson(`{"scope": {"${key}": [${inner}]}}`));
  assert.equal(issues.length, 100);
  assert.ok(JSON.stringify(issues).length < 100_000);
});
