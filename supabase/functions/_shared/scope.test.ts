import assert from "node:assert/strict";
import { parseJson } from "./json_reader.ts";
import { dimensionsOf, scopeIssues } from "./scope.ts";
import cases from "./scopes.cases.json" with { type: "json" };

type Scope = Record<string, unknown>;
const isScope = (value: unknown): value is Scope =>
  typeof value === "object" && value !== null && !Array.isArray(value);

for (const { name, scope: text, dimensions, wrong, refused_in_a_strand: refused } of cases) {
  const scope = parseJson(text);

  Deno.test(`${name}: ${wrong === null ? `has ${dimensions}` : `is wrong at ${wrong}`}`, () => {
    const read = dimensionsOf(scope);
    if (wrong !== null) {
      assert.deepEqual("issues" in read && read.issues.map(({ path }) => path), [[wrong]]);
    } else {
      // as it is sent: numbers as they were written
      assert.ok("scope" in read);
      assert.equal(JSON.stringify(read.scope), JSON.stringify(parseJson(dimensions!)));
    }
  });

  // what is not a scope is refused in a strand (strand.cases.json)
  if (!isScope(scope)) continue;
  const field = wrong ?? refused ?? null;
  Deno.test(`${name}: in a strand ${field === null ? "taken" : `refused at ${field}`}`, () => {
    assert.deepEqual(scopeIssues(scope).map(({ path }) => path), field === null ? [] : [[field]]);
  });
}

Deno.test("a dimension that Postgres cannot hold is in no override", () => {
  const scope = parseJson('{"a": "x", "k": 1e-400, "l": "\\u0000", "m\\ud800": 1, "n": "\\udc00"}');
  assert.deepEqual(dimensionsOf(scope), { scope: { a: "x" } });
});
