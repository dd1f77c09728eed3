import assert from "node:assert/strict";
import { shown, unstorable } from "./json.ts";
import { LongNumber, Unreadable } from "./numbers.ts";

Deno.test("texts that Postgres cannot store are found", () => {
  assert.match(unstorable("a\u0000") ?? "", /u0000/);
  assert.match(unstorable("\ud800") ?? "", /surrogate/);
  assert.equal(unstorable("😀 ünï"), null);
});

Deno.test("a message shows what is short, and the kind of what is not", () => {
  for (
    const [value, text] of [
      [undefined, "nothing"],
      [null, "null"],
      ["x", '"x"'],
      [[1], "an array"],
      [{}, "an object"],
      [new LongNumber("9".repeat(300)), "9".repeat(60)],
      [new Unreadable("less", "more"), "more"],
    ] as const
  ) assert.equal(shown(value), text);
  assert.equal(shown("x".repeat(1000)).length, 60);
});
