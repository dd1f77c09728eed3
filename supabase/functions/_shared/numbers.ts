// Numbers as they were written. A scope with 9007199254740993 must not match one with ...992, so a number that
// a double would change is a LongNumber. Everything here takes time in proportion to the length of the text.

const MAX_CHARACTERS = 400;
const MAX_DOUBLE_DIGITS = 17;
const MAX_INTEGER = 2 ** 53;

const rawJson = (JSON as unknown as { rawJSON: (text: string) => unknown }).rawJSON;

/** A number that a double would change; it is sent on as it was written. */
export class LongNumber {
  constructor(readonly source: string) {}

  toJSON(): unknown {
    return rawJson(this.source);
  }
}

/** JSON that is too long or too deep to read; what holds it is refused. */
export class Unreadable {
  constructor(readonly expected: string, readonly shown: string) {}
}

/** The value of a JSON number; `plain` says that it has no exponent. */
export const readNumber = (source: string, plain: boolean): number | LongNumber | Unreadable => {
  // a double keeps so few digits as they are
  if (plain && source.length <= 15) return Number(source);
  const read = decimal(source);
  if (read.digits.length <= MAX_DOUBLE_DIGITS) {
    const value = Number(`${source.startsWith("-") ? "-" : ""}${read.digits || "0"}e${read.exponent}`);
    if (Number.isFinite(value)) {
      const shortest = decimal(String(value));
      if (shortest.digits === read.digits && shortest.exponent === read.exponent) return value;
    }
  }
  if (source.length <= MAX_CHARACTERS) return new LongNumber(source);
  return new Unreadable(
    `a number of at most ${MAX_CHARACTERS} characters, or one that a double holds`,
    source.slice(0, 60),
  );
};

/** The double nearest to a JSON number; null for one beyond all doubles, and for anything else. */
export const nearest = (value: unknown): number | null => {
  const number = value instanceof LongNumber ? Number(value.source) : value;
  return typeof number === "number" && Number.isFinite(number) ? number : null;
};

/** As `nearest`, and null also for a number below all doubles: 1e-400 is not 0. */
export const finite = (value: unknown): number | null => {
  const number = nearest(value);
  return number === 0 && value instanceof LongNumber ? null : number;
};

/** Whether a number is whole and beyond 2^53, where a double cannot tell each from the next. */
export const isBeyondIntegers = (value: unknown): boolean =>
  // a whole number that a double changes is beyond 2^53
  value instanceof LongNumber
    ? decimal(value.source).exponent >= 0
    : Number.isInteger(value) && Math.abs(value as number) > MAX_INTEGER;

/** Whether jsonb holds a number: up to 131,072 digits before the point and 16,383 after it. */
export const isStorable = ({ source }: LongNumber): boolean => {
  const { digits, exponent, scale } = decimal(source);
  return digits.length + exponent <= 131_072 && scale <= 16_383;
};

/** How long a number is as Postgres prints it: never with an exponent. */
export const printedLength = (value: number | LongNumber): number => {
  const source = value instanceof LongNumber ? value.source : JSON.stringify(value);
  const { digits, exponent, scale } = decimal(source);
  const whole = Math.max(1, digits.length + exponent);
  return (source.startsWith("-") ? 1 : 0) + whole + (scale > 0 ? 1 + scale : 0);
};

/**
 * A number as `digits` without zeros at either end, times ten to the `exponent`: the same for all spellings
 * of a number. `scale` is how many digits follow the point, zeros too, if it is written without an exponent.
 */
const decimal = (source: string): { digits: string; exponent: number; scale: number } => {
  const power = source.search(/e/i);
  const mantissa = source.slice(source.startsWith("-") ? 1 : 0, power < 0 ? undefined : power);
  const point = mantissa.indexOf(".");
  const fraction = point < 0 ? 0 : mantissa.length - point - 1;
  const all = point < 0 ? mantissa : mantissa.slice(0, point) + mantissa.slice(point + 1);
  let first = 0;
  let end = all.length;
  while (first < end && all.charCodeAt(first) === 48) first++;
  while (end > first && all.charCodeAt(end - 1) === 48) end--;
  const scale = fraction - (power < 0 ? 0 : Number(source.slice(power + 1)));
  return { digits: all.slice(first, end), exponent: first === end ? 0 : all.length - end - scale, scale };
};
