"""The embedded stack: a Supabase project without Docker.

It has Postgres with pgmq, PostgREST, the edge functions and a gateway.
"""
