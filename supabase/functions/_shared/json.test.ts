import assert from "node:assert/strict";
import { finite, LongNumber, parseJson, unstorable } from "./json.ts";

for (
  const text of [
    "9007199254740993",
    "-9007199254740993",
    "0.12345678901234567890",
    "1e400",
    "-1E+999999999",
    "1e-400",
    "123456789012345678901234567890.5",
  ]
) {
  Deno.test(`${text} stays as it is written`, () => {
    const read = parseJson(`{"a": [${text}]}`) as { a: unknown[] };
    assert.ok(read.a[0] instanceof LongNumber);
    assert.equal(JSON.stringify(read), `{"a":[${text}]}`);
  });
}

for (
  const [text, value] of [
    ["1.50", 1.5],
    ["15e-1", 1.5],
    ["1E2", 100],
    ["-0.0", -0],
    ["0e7", 0],
    ["9007199254740992", 2 ** 53],
    ["1e-7", 1e-7],
    ["0.1", 0.1],
    ["100000000000000000000000", 1e23],
    ["5e-324", 5e-324],
  ] as const
) {
  Deno.test(`${text} is a number like any other`, () => assert.equal(parseJson(text), value));
}

Deno.test("keys are keys, whatever they are called", () => {
  assert.equal(
    JSON.stringify(parseJson('{"__proto__": 1, "constructor": {"a": 2}}')),
    '{"__proto__":1,"constructor":{"a":2}}',
  );
});

Deno.test("a finite number is one that a double holds", () => {
  assert.equal(finite(parseJson("0.12345678901234567890")), 0.12345678901234568);
  for (const value of [parseJson("1e400"), "1", null, true, [1], {}, undefined, NaN]) {
    assert.equal(finite(value), null);
  }
});

Deno.test("what Postgres cannot store is told apart", () => {
  assert.match(unstorable("a\u0000") ?? "", /u0000/);
  assert.match(unstorable("\ud800") ?? "", /surrogate/);
  assert.equal(unstorable("😀 ünï"), null);
});
