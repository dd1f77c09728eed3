// How zod says what is wrong with a field: what was expected there, and what was.

import type { z } from "zod";
import type { Issue } from "./errors.ts";
import { shown } from "./json.ts";

/** The error of a schema. */
export const expected = (what: string) => ({
  error: ({ input }: { input?: unknown }) => `expected ${what}, got ${shown(input)}`,
});

export const issuesOf = (error: z.ZodError): Issue[] =>
  error.issues.map(({ path, message }) => ({ path: path as Issue["path"], message }));
