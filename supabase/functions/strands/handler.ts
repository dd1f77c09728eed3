// POST /functions/v1/strands: one strand or up to 1,000 into ad_strands, all or none, once for each id.

import { Database } from "../_shared/database.ts";
import { endpoint } from "../_shared/endpoint.ts";
import { invalid } from "../_shared/errors.ts";
import { readStrands } from "./strand.ts";

export const handler = endpoint("strands", {
  POST: {
    callers: ["service", "bot"],
    maxBytes: 8 * 1024 * 1024,
    answer: async ({ body, caller, environment }) => {
      const read = readStrands(body);
      if ("issues" in read) throw invalid(read.issues);
      const inserted = read.strands.length === 0
        ? 0
        : await new Database(environment, caller).insertStrands(read.strands);
      return { status: 201, body: { inserted, duplicates: read.strands.length - inserted } };
    },
  },
});
