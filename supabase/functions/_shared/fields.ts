// Fields of a body as zod checks them: what was expected, and what came.

import { z } from "zod";
import type { Issue } from "./errors.ts";
import { shown, unstorable } from "./json.ts";

/** The error of a schema. */
export const expected = (what: string) => ({
  error: ({ input }: { input?: unknown }) => `expected ${what}, got ${shown(input)}`,
});

export const issuesOf = (error: z.ZodError): Issue[] =>
  error.issues.map(({ path, message }) => ({ path: path as Issue["path"], message }));

const MAX_MODULE = 100;

/** The module that learns; missing or null stands for pm. */
export const moduleName = z.custom(
  (value) =>
    typeof value === "string" && value !== "" && [...value].length <= MAX_MODULE &&
    unstorable(value) === null,
  expected(`a text of 1 to ${MAX_MODULE} characters`),
).nullish();
