// JSON whose numbers stay what was written: a scope with 9007199254740993 must not match one with ...992.

const rawJson = (JSON as unknown as { rawJSON: (text: string) => unknown }).rawJSON;

/** A number that a double would change; it is sent on as it was written. */
export class LongNumber {
  constructor(readonly source: string) {}

  toJSON(): unknown {
    return rawJson(this.source);
  }
}

/** The value of a JSON text; throws SyntaxError for what is none, RangeError for what is nested too deep. */
export const parseJson = (text: string): unknown =>
  JSON.parse(text, (_key: string, value: unknown, context?: { source?: string }) => {
    if (typeof value !== "number" || context?.source === undefined) return value;
    return survives(context.source, value) ? value : new LongNumber(context.source);
  });

/** A JSON number as a double; null for one beyond all doubles, and for anything else. */
export const finite = (value: unknown): number | null => {
  const number = value instanceof LongNumber ? Number(value.source) : value;
  return typeof number === "number" && Number.isFinite(number) ? number : null;
};

/** Whether jsonb holds a number: up to 131,072 digits before the point and 16,383 after it. */
export const isStorable = ({ source }: LongNumber): boolean => {
  const [digits = "", exponent] = decimal(source).replace(/^-/, "").split("e");
  const last = Number(exponent ?? 0);
  return digits.length + last <= 131_072 && last >= -16_383;
};

export const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof LongNumber);

/** What jsonb cannot hold of a text: null if it can hold it. */
export const unstorable = (text: string): string | null => {
  if (text.includes("\u0000")) return "holds \\u0000, which Postgres cannot store";
  return text.isWellFormed() ? null : "holds half of a surrogate pair";
};

/** A value in a message: its kind, or itself where it is short. */
export const shown = (value: unknown): string => {
  if (value === undefined) return "nothing";
  if (value instanceof LongNumber) return value.source.slice(0, 60);
  if (Array.isArray(value)) return "an array";
  if (isObject(value)) return "an object";
  const text = JSON.stringify(value) ?? String(value);
  return text.length <= 60 ? text : `${text.slice(0, 57)}...`;
};

const survives = (source: string, value: number): boolean =>
  source === String(value) || (Number.isFinite(value) && decimal(source) === decimal(String(value)));

/** One spelling for each number: 1.50, 15e-1 and 1.5 are the same. */
const decimal = (text: string): string => {
  const [, sign, whole = "", fraction = "", exponent = "0"] =
    /^(-?)(\d+)(?:\.(\d+))?(?:e([+-]?\d+))?$/i.exec(text) ?? [];
  const digits = (whole + fraction).replace(/^0+/, "");
  const kept = digits.replace(/0+$/, "");
  if (kept === "") return "0";
  return `${sign}${kept}e${Number(exponent) - fraction.length + digits.length - kept.length}`;
};
