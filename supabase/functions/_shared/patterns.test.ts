import cases from "./patterns.cases.json" with { type: "json" };
import { generateCanonicalPatternKey, PatternKeyError } from "./patterns.ts";

const equal = (got: unknown, wanted: unknown) => {
  if (JSON.stringify(got) !== JSON.stringify(wanted)) {
    throw new Error(`expected ${JSON.stringify(wanted)}, got ${JSON.stringify(got)}`);
  }
};

for (const wanted of cases.keys) {
  Deno.test(`${wanted.action_type} ${JSON.stringify(wanted.action_context)} is ${wanted.pattern_key}`, () => {
    equal(
      generateCanonicalPatternKey("pm", wanted.action_type, wanted.action_context, wanted.uptrend_signals),
      { patternKey: wanted.pattern_key, actionCategory: wanted.action_category },
    );
  });
}

for (const wanted of cases.errors) {
  Deno.test(`${JSON.stringify(wanted)} names the field`, () => {
    try {
      generateCanonicalPatternKey(wanted.module, wanted.action_type, {});
    } catch (error) {
      equal(error instanceof PatternKeyError && error.message.startsWith(wanted.error), true);
      return;
    }
    throw new Error("no error");
  });
}
