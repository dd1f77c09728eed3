import assert from "node:assert/strict";
import { parseJson } from "./json_reader.ts";
import { finite, isBeyondIntegers, isStorable, LongNumber, printedLength, Unreadable } from "./numbers.ts";

const zeros = (count: number) => "0".repeat(count);

for (
  const text of [
    "9007199254740993",
    "-9007199254740993",
    "0.12345678901234567890",
    "1e400",
    "-1E+999999999",
    "1e-400",
    "123456789012345678901234567890.5",
    `1${zeros(398)}1`,
  ]
) {
  Deno.test(`${text.slice(0, 60)} stays as it is written`, () => {
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
    ["1.7976931348623157e308", Number.MAX_VALUE],
    [`1.5${zeros(1000)}`, 1.5],
    [`0.${zeros(999)}1e1000`, 1],
    [`-12${zeros(8_000_000)}e-8000000`, -12],
    [`0.${zeros(500)}`, 0],
  ] as const
) {
  Deno.test(`${text.slice(0, 60)} is a number like any other`, () => assert.equal(parseJson(text), value));
}

for (
  const text of [
    `1${zeros(399)}1`,
    `-0.${"1".repeat(16_500)}`,
    `1e${"9".repeat(400)}`,
    `0.1${zeros(200_000)}1`,
    `0.1${zeros(8_000_000)}1`,
    "9".repeat(8_000_000),
    `1e-${"9".repeat(8_000_000)}`,
    `1.${"0".repeat(4_000_000)}e${"9".repeat(4_000_000)}`,
  ]
) {
  Deno.test(`${text.slice(0, 20)} of ${text.length} characters is not read, and takes no time`, () => {
    const started = performance.now();
    const read = parseJson(text);
    // a millisecond each here; hours where the time grows with the square of the length
    assert.ok(performance.now() - started < 10_000);
    assert.ok(read instanceof Unreadable);
    assert.ok(read.shown.length <= 60 && text.startsWith(read.shown));
  });
}

Deno.test("a finite number is one that a double holds", () => {
  assert.equal(finite(parseJson("0.12345678901234567890")), 0.12345678901234568);
  for (const value of [parseJson("1e400"), "1", null, true, [1], {}, undefined, NaN]) {
    assert.equal(finite(value), null);
  }
});

Deno.test("whole numbers are told apart up to 2^53", () => {
  for (const text of ["9007199254740992", "-9007199254740992", "1.5", "0.12345678901234567890", '"x"', "0"]) {
    assert.ok(!isBeyondIntegers(parseJson(text)), text);
  }
  for (const text of ["9007199254740993", "-9007199254740993.0", "1e20", "1e400", "90071992547409930e-1"]) {
    assert.ok(isBeyondIntegers(parseJson(text)), text);
  }
});

Deno.test("jsonb holds so many digits before the point and after it", () => {
  for (const text of ["1e131071", "1e-16383", "1.5e-16382"]) {
    assert.ok(isStorable(new LongNumber(text)), text);
  }
  for (const text of ["1e131072", "1e-16384", "1.0e-16383", `1e${"9".repeat(300)}`]) {
    assert.ok(!isStorable(new LongNumber(text)), text);
  }
});

for (
  const [text, printed] of [
    ["0", "0"],
    ["-1.5", "-1.5"],
    ["1e21", `1${zeros(21)}`],
    ["1e-7", "0.0000001"],
    ["12345678901234567890.50", "12345678901234567890.50"],
    ["1.234567890123456789e5", "123456.7890123456789"],
    ["-1.50e-400", `-0.${zeros(399)}150`],
    ["0.12345678901234567890", "0.12345678901234567890"],
  ] as const
) {
  Deno.test(`${text} is printed with ${printed.length} characters`, () => {
    assert.equal(printedLength(parseJson(text) as number | LongNumber), printed.length);
  });
}
