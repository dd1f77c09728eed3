// Reads JSON in place of JSON.parse, for two reasons. V8's JSON.parse may take an escaped key for a key that it
// read earlier, even in the text of another caller (nodejs/node#63785): one caller could change what another
// one says. And it makes a double of every number (see numbers.ts).

import { type LongNumber, readNumber, Unreadable } from "./numbers.ts";

// Nothing is accepted that is deeper. What lies deeper must be JSON, but is not kept.
const MAX_LEVELS = 256;

const QUOTE = 0x22, PLUS = 0x2b, COMMA = 0x2c, MINUS = 0x2d, POINT = 0x2e, ZERO = 0x30, NINE = 0x39;
const COLON = 0x3a, BACKSLASH = 0x5c;
const OPEN_ARRAY = 0x5b, CLOSE_ARRAY = 0x5d, OPEN_OBJECT = 0x7b, CLOSE_OBJECT = 0x7d;

/**
 * The value of a JSON text. It is as JSON.parse reads it, except for numbers that a double would change
 * (LongNumber) and for what is too long or too deep (Unreadable). Throws SyntaxError.
 */
export const parseJson = (text: string): unknown => new Reader(text).document();

class Reader {
  private at = 0;
  private closers: Uint8Array | null = null;

  constructor(private readonly text: string) {}

  document(): unknown {
    const value = this.value(0);
    this.space();
    return this.at === this.text.length ? value : this.fail();
  }

  private value(level: number): unknown {
    switch (this.space()) {
      case QUOTE:
        return this.string();
      case OPEN_OBJECT:
        return level < MAX_LEVELS ? this.object(level + 1) : this.tooDeep();
      case OPEN_ARRAY:
        return level < MAX_LEVELS ? this.array(level + 1) : this.tooDeep();
      case 0x74:
        return this.word("true", true);
      case 0x66:
        return this.word("false", false);
      case 0x6e:
        return this.word("null", null);
      default:
        return this.number();
    }
  }

  private object(level: number): Record<string, unknown> {
    const object: Record<string, unknown> = {};
    this.at++;
    if (this.space() === CLOSE_OBJECT) {
      this.at++;
      return object;
    }
    do {
      const key = this.key();
      const value = this.value(level);
      if (key === "__proto__") {
        Object.defineProperty(object, key, { value, writable: true, enumerable: true, configurable: true });
      } else {
        object[key] = value;
      }
    } while (this.goesOn(CLOSE_OBJECT));
    return object;
  }

  private array(level: number): unknown[] {
    const array: unknown[] = [];
    this.at++;
    if (this.space() === CLOSE_ARRAY) {
      this.at++;
      return array;
    }
    do array.push(this.value(level)); while (this.goesOn(CLOSE_ARRAY));
    return array;
  }

  /** Pass over an object or array, without recursion: its depth may be half of the length of the text. */
  private tooDeep(): Unreadable {
    const closers = this.closers ??= new Uint8Array(this.text.length);
    let depth = 0;
    do {
      const open = this.space();
      if (open === OPEN_OBJECT || open === OPEN_ARRAY) {
        this.at++;
        const close = open + 2;
        closers[depth++] = close;
        if (this.space() !== close) {
          if (open === OPEN_OBJECT) this.key();
          continue;
        }
        this.at++;
        depth--;
      } else {
        this.value(MAX_LEVELS);
      }
      while (depth > 0 && !this.goesOn(closers[depth - 1]!)) depth--;
      if (depth > 0 && closers[depth - 1] === CLOSE_OBJECT) this.key();
    } while (depth > 0);
    return new Unreadable(`at most ${MAX_LEVELS} levels`, "more");
  }

  private key(): string {
    if (this.space() !== QUOTE) this.fail();
    const key = this.string();
    if (this.space() !== COLON) this.fail();
    this.at++;
    return key;
  }

  /** Pass over the comma or the closing bracket that is next; true if it was a comma. */
  private goesOn(close: number): boolean {
    const code = this.space();
    this.at++;
    return code === COMMA || (code === close ? false : this.fail());
  }

  private string(): string {
    const start = ++this.at;
    let at = start;
    for (;; at++) {
      const code = this.text.charCodeAt(at);
      if (code === QUOTE) {
        this.at = at + 1;
        return this.text.slice(start, at);
      }
      if (code === BACKSLASH) return this.escaped(start, at);
      // at the end of the text the code is NaN
      if (!(code >= 0x20)) this.fail();
    }
  }

  /** A string with an escape at `at`. */
  private escaped(start: number, at: number): string {
    for (let code = BACKSLASH; code !== QUOTE; code = this.text.charCodeAt(at)) {
      if (Number.isNaN(code)) this.fail();
      at += code === BACKSLASH ? 2 : 1;
    }
    this.at = at + 1;
    // JSON.parse reads this right: it is one string, and no key
    return JSON.parse(this.text.slice(start - 1, at + 1));
  }

  private number(): number | LongNumber | Unreadable {
    const start = this.at;
    if (this.text.charCodeAt(this.at) === MINUS) this.at++;
    if (this.text.charCodeAt(this.at) === ZERO) this.at++;
    else this.digits();
    if (this.text.charCodeAt(this.at) === POINT) {
      this.at++;
      this.digits();
    }
    const plain = (this.text.charCodeAt(this.at) | 0x20) !== 0x65;
    if (!plain) {
      const sign = this.text.charCodeAt(++this.at);
      if (sign === PLUS || sign === MINUS) this.at++;
      this.digits();
    }
    return readNumber(this.text.slice(start, this.at), plain);
  }

  private digits(): void {
    const start = this.at;
    let code = this.text.charCodeAt(this.at);
    while (code >= ZERO && code <= NINE) code = this.text.charCodeAt(++this.at);
    if (this.at === start) this.fail();
  }

  private word<T>(word: string, value: T): T {
    if (!this.text.startsWith(word, this.at)) this.fail();
    this.at += word.length;
    return value;
  }

  /** Pass over white space; returns the code of the next character, NaN at the end. */
  private space(): number {
    let code = this.text.charCodeAt(this.at);
    while (code === 0x20 || code === 0x0a || code === 0x0d || code === 0x09) {
      code = this.text.charCodeAt(++this.at);
    }
    return code;
  }

  private fail(): never {
    throw new SyntaxError(`not JSON at character ${this.at}`);
  }
}
