// Which jobs to do now.

import { z } from "zod";
import type { Issue } from "../_shared/errors.ts";
import { expected, issuesOf } from "../_shared/fields.ts";

// In the order in which they build on each other.
export const JOBS = ["sweep", "mine", "materialize"] as const;
export type Job = typeof JOBS[number];

const wanted = z.strictObject({
  jobs: z.array(z.enum(JOBS, expected(`one of ${JOBS.join(", ")}`)), expected("a list of jobs")).min(1)
    .nullish(),
}, { error: "expected nothing, or an object with `jobs` alone" });

/** The jobs that a body asks for: mine and materialize without one. */
export const readJobs = (body: unknown): { jobs: Job[] } | { issues: Issue[] } => {
  const checked = wanted.safeParse(body ?? {});
  if (!checked.success) {
    return {
      issues: issuesOf(checked.error),
    };
  }
  const asked: readonly Job[] = checked.data.jobs ?? ["mine", "materialize"];
  return { jobs: JOBS.filter((job) => asked.includes(job)) };
};
