"""The embedded stack: Postgres, pgmq, PostgREST and a gateway, as on a Supabase project, without Docker."""
