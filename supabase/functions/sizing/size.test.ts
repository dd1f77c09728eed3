import assert from "node:assert/strict";
import type { Resolution } from "../_shared/database.ts";
import { parseJson } from "../_shared/json_reader.ts";
import { readRequest } from "./request.ts";
import { answerOf } from "./size.ts";
import { KEY, RESOLUTION, strength } from "./testing.ts";

type Row = Record<string, unknown>;
type Case = { name: string; action: Row; resolution: Row; size_frac: unknown; strength: Row | null };
const CASES = parseJson(
  await Deno.readTextFile(new URL("../_shared/sizing.cases.json", import.meta.url)),
) as Case[];
const answered = (request: Row) => answerOf(readRequest(request), RESOLUTION);

for (const { name, action, resolution, size_frac, strength } of CASES) {
  Deno.test(`${name}: sized ${JSON.stringify(size_frac)}`, () => {
    const answer = answerOf(
      readRequest({ pattern_key: "p", ...action }),
      { ...RESOLUTION, ...resolution } as Resolution,
    );
    // what the function sends: -0 is 0
    const sent = JSON.parse(JSON.stringify(answer));
    assert.deepEqual(sent.size_frac, size_frac);
    // the library leaves what it does not size without an explanation
    if (strength === null) return;
    assert.deepEqual(sent.strength, strength);
    assert.deepEqual([sent.reason, sent.run_id], [strength.reason, strength.run_id]);
  });
}

Deno.test("without a size the answer has the multiplier, and nothing is wrong", () => {
  const answer = answered(KEY);
  assert.deepEqual([answer.size_frac, answer.strength, answer.reason], [null, strength(1.5), "matched"]);
});

Deno.test("the answer has the multiplier of what is not sized too", () => {
  const answer = answered({ pattern_key: "p", action_category: "trim", size_frac: 0.4 });
  assert.deepEqual([answer.size_frac, answer.strength], [0.4, strength(1.5, "matched", 0.4)]);
  assert.equal(
    (answered({ pattern_key: "p", action_category: "trim", size_frac: "all" }).strength as Row)
      .size_frac_before,
    null,
  );
});

Deno.test("a size that is not a number is an issue of its field", () => {
  const { issues, error } = answered({ ...KEY, size_frac: "0.2" });
  assert.deepEqual(issues, [{ path: ["size_frac"], message: 'expected a finite number, got "0.2"' }]);
  assert.equal(error, 'size_frac: expected a finite number, got "0.2"');
});

for (const size of ["LONG", "[LONG]", `{"a": LONG}`, `${"[".repeat(300)}1${"]".repeat(300)}`]) {
  Deno.test(`a size of ${size.slice(0, 20)} that is not read is not given back`, () => {
    const long = `0.${"1".repeat(1000)}`;
    const request = `{"pattern_key": "q", "action_category": "trim", "size_frac": ${size}}`;
    const answer = answered(parseJson(request.replace("LONG", long)) as Row);
    assert.deepEqual([answer.size_frac, answer.reason], [null, "bad_input"]);
    assert.equal((answer.issues as unknown[]).length, 1);
  });
}
