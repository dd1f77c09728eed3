import assert from "node:assert/strict";
import { parseJson } from "./json_reader.ts";
import { Unreadable } from "./numbers.ts";

const keysOf = (value: unknown) => Object.keys(value as object);

// Pairs of texts: after the first, V8's JSON.parse reads the keys of the second wrong (Deno 2.9.8, Node 26).
const POISONS: [poison: string, text: string, keys: string[]][] = [
  ['{"chain":[],"caf\\\\":0}', '{"chain":1,"caf\\u00e9":2}', ["chain", "café"]],
  ['{"h":[],"\\\\":0}', '{"h":1,"\\"":2}', ["h", '"']],
  ['{"h":[],"\\\\":0}', '{"h":1,"\\n":2}', ["h", "\n"]],
  ['{"h":[],"march\\\\":0}', '{"h":1,"march\\u00e9":2}', ["h", "marché"]],
  ['{"h":[],"0\\\\":0}', '{"h":1,"0\\u0031":2}', ["h", "01"]],
  ['{"h":[],"\\\\":0}', '{"h":1,"\\u0031":2}', ["1", "h"]],
  ['{"h":[],"\\\\u005f_prot":0}', '{"h":1,"\\u005f_proto__":2}', ["h", "__proto__"]],
];

for (const [poison, text, keys] of POISONS) {
  Deno.test(`${text} has its keys after ${poison}, whoever read that and how`, () => {
    for (let n = 0; n < 3; n++) {
      parseJson(poison);
      JSON.parse(poison);
    }
    assert.deepEqual(keysOf(parseJson(text)), keys);
    assert.deepEqual(keysOf(parseJson(`{"scope":${text}}`)).length, 1);
  });
}

Deno.test("keys are keys, whatever they are called and however they are spelled", () => {
  const text = '{"__proto__":1,"constructor":{"a":2},"toString":null,"":3}';
  const read = parseJson(text) as Record<string, unknown>;
  assert.equal(JSON.stringify(read), text);
  assert.equal(Object.getPrototypeOf(read), Object.prototype);
  assert.deepEqual(parseJson('{"a":1,"\\u0061":2}'), { a: 2 }, "the last of two counts");
});

for (
  const text of [
    ...[
      "",
      " ",
      "{",
      "}",
      "[",
      "]",
      "[1",
      "[1,",
      "[1,]",
      "[,1]",
      "[1 2]",
      '{"a"',
      '{"a":',
      '{"a":1',
      '{"a":1,}',
    ],
    ...['{"a" 1}', "{a:1}", "{1:1}", '{"a":1 "b":2}', "{,}", "[1}", '{"a":1]', "1 2", "[]]", "nul", "nulll"],
    ...[
      "True",
      "NaN",
      "Infinity",
      "undefined",
      "01",
      "-",
      "+1",
      "1.",
      ".5",
      "1e",
      "1e+",
      "0x1",
      "1_0",
      "--1",
    ],
    ...['"', '"a', '"\\"', '"\\x"', '"\\u00"', '"\\u00g0"', '"a\nb"', '"\t"', "'a'", '{"a\\x":1}', "\ufeff1"],
    ...["\u00a0 1", "1\f", "/**/1", "[1,,2]", '"\\', '{"a":"\\', "-Infinity", '{"a":1,"b"}', "tru e", "1-"],
  ]
) {
  Deno.test(`${JSON.stringify(text)} is not JSON`, () => {
    const deep = (inner: string) => `${"[".repeat(300)}${inner}${"]".repeat(300)}`;
    for (
      const whole of [text, `[${text}]`, `{"a": ${text}}`, deep(text === "" || text === " " ? "]" : text)]
    ) {
      if (whole === "[]" || whole === "[ ]") continue;
      assert.throws(() => parseJson(whole), SyntaxError, whole.slice(-30));
    }
  });
}

Deno.test("it reads what JSON.parse reads", () => {
  let state = 12345;
  const random = (below: number) => {
    state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff;
    return (state >> 8) % below;
  };
  const one = <T>(of: T[]): T => of[random(of.length)]!;
  const many = (make: () => string) => Array.from({ length: random(4) }, make).join(",");
  const scalars = [
    "0",
    "-1.5",
    "1e5",
    '"é\\n\\u0041\\""',
    '"\\ud83d\\ude00"',
    '"\ud800"',
    "true",
    "false",
    "null",
  ];
  // without escaped keys, which JSON.parse may read wrong
  const keys = ['"a"', '"b"', '"__proto__"', '"1"', '"01"', '""', '"é"'];
  const space = () => one(["", "", " ", "\n\t\r"]);
  const value = (level: number): string => {
    const kind = random(level > 4 ? 1 : 3);
    const inner = kind === 0
      ? one(scalars)
      : kind === 1
      ? `[${many(() => value(level + 1))}]`
      : `{${many(() => `${space()}${one(keys)}${space()}:${value(level + 1)}`)}}`;
    return `${space()}${inner}${space()}`;
  };
  const outcome = (read: (text: string) => unknown, text: string) => {
    try {
      return JSON.stringify(read(text));
    } catch (error) {
      assert.ok(error instanceof SyntaxError);
      return "not JSON";
    }
  };
  const seen = { read: 0, refused: 0 };
  for (let n = 0; n < 20_000; n++) {
    const good = value(0);
    const at = random(good.length + 1);
    const text = n % 2 === 0
      ? good
      : good.slice(0, at) + one(["", "]", "}", ",", ":", '"', "1"]) + good.slice(at + random(2));
    const wanted = outcome(JSON.parse, text);
    assert.equal(outcome(parseJson, text), wanted, text);
    if (wanted === "not JSON") seen.refused++;
    else seen.read++;
  }
  assert.ok(Math.min(seen.read, seen.refused) > 3000, JSON.stringify(seen));
});

Deno.test("what lies too deep is checked and not kept, however deep", () => {
  for (const levels of [300, 1_000_000]) {
    const texts = [
      "[".repeat(levels) + "]".repeat(levels),
      '{"a":'.repeat(levels) + "1" + "}".repeat(levels),
      '[1,{"a":[],"b":{},"c":'.repeat(levels) + '"x"' + "}, 2]".repeat(levels),
    ];
    for (const text of texts) {
      const [first, second] = parseJson(`[${text}, 5]`) as unknown[];
      assert.equal(second, 5);
      let inner: unknown = first;
      while (!(inner instanceof Unreadable)) {
        inner = Array.isArray(inner)
          ? inner.at(-1) === 2 ? inner[1] : inner[0]
          : Object.values(inner as object).at(-1);
      }
      assert.throws(() => parseJson(text.slice(0, -1)), SyntaxError);
      assert.throws(() => parseJson(text.replace(/[\]}]$/, ",$&")), SyntaxError);
    }
  }
});
