import assert from "node:assert/strict";
import cases from "./patterns.cases.json" with { type: "json" };
import { generateCanonicalPatternKey, PatternKeyError } from "./patterns.ts";

for (const wanted of cases.keys) {
  Deno.test(`${wanted.action_type} ${JSON.stringify(wanted.action_context)} is ${wanted.pattern_key}`, () => {
    assert.deepEqual(
      generateCanonicalPatternKey("pm", wanted.action_type, wanted.action_context, wanted.uptrend_signals),
      { patternKey: wanted.pattern_key, actionCategory: wanted.action_category },
    );
  });
}

for (const wanted of cases.errors) {
  Deno.test(`${JSON.stringify(wanted)} names the field`, () => {
    assert.throws(
      () => generateCanonicalPatternKey(wanted.module, wanted.action_type, wanted.action_context),
      (error) => error instanceof PatternKeyError && error.message.startsWith(wanted.error),
    );
  });
}
