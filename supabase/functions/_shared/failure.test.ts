import assert from "node:assert/strict";
import { failure } from "./failure.ts";
import cases from "./retry.cases.json" with { type: "json" };

for (const { name, status, code, message, means } of cases) {
  Deno.test(`${name} means ${means}`, () => {
    const error = failure(status ?? 0, code ?? "", message ?? "It said no.");
    assert.equal(error.code, means);
    assert.equal(error.status, { unavailable: 503, forbidden: 403, invalid: 422 }[means]);
  });
}

Deno.test("a gateway's number is not a code", () => {
  assert.equal(failure(401, 401, "No key").code, failure(401, "", "No key").code);
  assert.equal(failure(400, 400, "Bad request").code, failure(400, "", "Bad request").code);
});

for (
  const message of [
    "Could not find the 'it''s' column of 'ad_strands' in the schema cache",
    "Column 'it''s' of relation 'ad_strands' does not exist",
  ]
) {
  Deno.test(`a column that a table lacks is named: ${message}`, () => {
    assert.deepEqual(failure(400, "PGRST204", message).issues.map(({ path }) => path), [["it''s"]]);
  });
}

Deno.test("an argument that our SQL refuses is named", () => {
  const issuesOf = (code: string, message: string) => failure(400, code, message).issues;
  const message = "module: expected one of dm, pm, got x";
  assert.deepEqual(issuesOf("22023", message), [
    { path: ["module"], message: "expected one of dm, pm, got x" },
  ]);
  assert.deepEqual(issuesOf("22023", "time zone unknown"), [{ path: [], message: "time zone unknown" }]);
  assert.deepEqual(issuesOf("P0001", message), [{ path: [], message }]);
});
