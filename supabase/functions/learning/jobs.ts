// Which jobs to do now, and for which module.

import { z } from "zod";
import type { Issue } from "../_shared/errors.ts";
import { expected, issuesOf, moduleName } from "../_shared/fields.ts";

// In the order in which they build on each other.
const JOBS = ["sweep", "mine", "materialize"] as const;
export type Job = typeof JOBS[number];

const wanted = z.strictObject({
  module: moduleName,
  jobs: z.array(z.enum(JOBS, expected(`one of ${JOBS.join(", ")}`)), expected("a list of jobs")).min(1)
    .nullish(),
}, { error: "expected nothing, or an object with `jobs` and `module`" });

/** The jobs that a body asks for, mine and materialize if it names none; the module is pm if it names none. */
export const readJobs = (body: unknown): { jobs: Job[]; module: string } | { issues: Issue[] } => {
  const checked = wanted.safeParse(body ?? {});
  if (!checked.success) return { issues: issuesOf(checked.error) };
  const asked: readonly Job[] = checked.data.jobs ?? ["mine", "materialize"];
  return {
    jobs: JOBS.filter((job) => asked.includes(job)),
    module: (checked.data.module ?? "pm") as string,
  };
};
