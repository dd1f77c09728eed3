// /functions/v1/learning: GET shows how learning goes, POST starts it now.

import { Database } from "../_shared/database.ts";
import { endpoint } from "../_shared/endpoint.ts";
import { invalid } from "../_shared/errors.ts";
import { readJobs } from "./jobs.ts";

const SHOWN_RUNS = 10;

export const handler = endpoint("learning", {
  GET: {
    callers: ["service"],
    maxBytes: 0,
    answer: async ({ caller, environment }) => {
      const database = new Database(environment, caller);
      const [status, runs] = await Promise.all([database.queueStatus(), database.runs(SHOWN_RUNS)]);
      return { status: 200, body: { ...status, runs } };
    },
  },
  POST: {
    callers: ["service"],
    maxBytes: 64 * 1024,
    bodyOptional: true,
    answer: async ({ body, caller, environment }) => {
      const read = readJobs(body);
      if ("issues" in read) throw invalid(read.issues);
      const database = new Database(environment, caller);
      const queued = [];
      // one after the other: a materialization waits for the mining that is queued before it
      for (const job of read.jobs) {
        queued.push({ job, msg_id: await database.enqueueJob(job, read.module) });
      }
      return { status: 202, body: { queued } };
    },
  },
});
