// The database as the functions see it: the one file here that names tables and functions.

import { PostgrestClient } from "@supabase/postgrest-js";
import type { Caller } from "./auth.ts";
import type { Database as Schema } from "./database.types.ts";
import type { Environment } from "./environment.ts";
import { unavailable } from "./errors.ts";
import { failure } from "./failure.ts";
import { parseJson } from "./json_reader.ts";

export type Row = Record<string, unknown>;
export type Resolution = {
  multiplier: number;
  reason: string;
  matched: number;
  matches: Row[];
  run_id: number | null;
  as_of: string | null;
  strategy: string | null;
  a_multiplier?: number | null;
  e_multiplier?: number | null;
  role?: string;
  beside?: { role: string; multiplier: number; reason: string };
};
export type ResolveRequest = {
  module: string;
  pattern_key: string;
  action_category: string;
  scope: Row;
  strategy: string | null;
  trade_id: string | null;
};

// A project ends each call after 8 s, so no answer comes later.
const TIMEOUT_MS = 9_000;
// A batch ends by itself after this time, well before the project would end it and lose its answers.
const BATCH_BUDGET_MS = 5_000;

const RUN_COLUMNS =
  "id, module, kind, role, status, started_at, finished_at, source_run_id, events, trades, lessons, overrides, baseline, warning, error";

/** The calls that the functions make, with the rights of the caller. All of them are safe to repeat. */
export class Database {
  readonly #client: PostgrestClient<Schema>;

  constructor(environment: Environment, caller: Caller) {
    const user = caller.kind === "user";
    const apikey = user ? environment.publicKey : environment.serviceKey;
    const token = user ? caller.token : environment.serviceKey;
    this.#client = new PostgrestClient<Schema>(`${environment.url}/rest/v1`, {
      headers: { apikey, authorization: `Bearer ${token}` },
      timeout: TIMEOUT_MS,
      fetch: fetchText,
      // the caller decides about another try: a bot must not wait here for a database that is down
      retry: false,
    });
  }

  /** Insert strands whose id is not there yet, all or none; returns how many were new. */
  async insertStrands(strands: Row[]): Promise<number> {
    const inserted = await rowsOf(
      this.#client.from("ad_strands")
        // A column that some strands lack gets the table's default, not null. That is asked for only where some
        // do lack one: the time that it takes grows with the square of the fields of a content.
        .upsert(strands as never[], {
          onConflict: "id",
          ignoreDuplicates: true,
          defaultToNull: new Set(strands.map((strand) =>
            JSON.stringify(Object.keys(strand).sort())
          )).size === 1,
        })
        .select("id"),
    );
    return (inserted as unknown[]).length;
  }

  /** The resolution of each request, in the same order. */
  async resolve(requests: ResolveRequest[], matchLimit: number): Promise<Resolution[]> {
    const answers: Resolution[] = [];
    while (answers.length < requests.length) {
      const some = await rowsOf(
        this.#client.rpc("resolve_pm_strength_batch", {
          requests: requests.slice(answers.length) as never,
          match_limit: matchLimit,
          budget_ms: BATCH_BUDGET_MS,
        }),
      ) as Resolution[];
      if (some.length === 0) throw unavailable();
      answers.push(...some);
    }
    return answers;
  }

  /** {now, queues: [{queue, depth, due, oldest_age_seconds}], dead_letters}. */
  async queueStatus(): Promise<Row> {
    return await rowsOf(this.#client.rpc("pm_strength_queue_status")) as Row;
  }

  /** The newest runs first. */
  async runs(limit: number): Promise<Row[]> {
    const runs = this.#client.from("learning_runs").select(RUN_COLUMNS).order("id", { ascending: false });
    return await rowsOf(runs.limit(limit)) as Row[];
  }

  /** Queue a job of a module in place of the same one that waits; returns its message. */
  async enqueueJob(job: string, module: string): Promise<number> {
    return await rowsOf(this.#client.rpc("pm_strength_enqueue_job", { job, module })) as number;
  }
}

type Result = { data: unknown; error: { code?: unknown; message: string } | null; status: number };

const rowsOf = async (query: PromiseLike<Result>): Promise<unknown> => {
  const { data, error, status } = await query;
  if (error !== null) throw failure(status, error.code, error.message);
  // every good answer is a text (see fetchText); postgrest-js takes some errors for a success, as an empty 404
  if (typeof data !== "string") throw failure(status < 400 ? 404 : status, "", "");
  try {
    return parseJson(data);
  } catch {
    throw unavailable();
  }
};

/**
 * Fetch an answer and put its text into a JSON string: postgrest-js would read the answer itself with
 * JSON.parse, which may confuse keys (see json_reader.ts). Redirects are not followed: no key goes elsewhere.
 */
const fetchText = async (input: string | URL | Request, init?: RequestInit): Promise<Response> => {
  const answer = await fetch(input, { ...init, redirect: "manual" });
  if (!answer.ok) return answer;
  return Response.json(await answer.text(), { status: answer.status === 201 ? 201 : 200 });
};
