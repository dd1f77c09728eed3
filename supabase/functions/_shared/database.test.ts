import assert from "node:assert/strict";
import { failure } from "./database.ts";

for (
  const [status, code, wanted] of [
    [0, "", 503],
    [500, "XX000", 503],
    [502, "", 503],
    [503, "PGRST000", 503],
    [504, "PGRST003", 503],
    [500, "57014", 503],
    [500, "57P01", 503],
    [500, "53300", 503],
    [500, "55P03", 503],
    [429, "", 503],
    [404, "", 503],
    [400, "", 422],
    [413, "", 422],
    [414, "", 422],
    [431, "", 422],
    [404, "PGRST202", 503],
    [404, "PGRST205", 503],
    [409, "40001", 503],
    [401, "PGRST301", 403],
    [403, "42501", 403],
    [400, "22P02", 422],
    [409, "23505", 422],
    [400, "23502", 422],
    [400, "PGRST204", 422],
    [400, "PGRST100", 422],
  ] as const
) {
  Deno.test(`${status} ${code || "without a code"} is ${wanted}`, () => {
    assert.equal(failure(status, code, "Could not find the 'a''b' column of 'ad_strands'").status, wanted);
  });
}

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
