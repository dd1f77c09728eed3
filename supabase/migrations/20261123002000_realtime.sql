-- Clients can subscribe to runs: one row when a run is published, instead of a flood of overrides.
-- Row level security holds for subscribers too.
do $$
begin
  if exists (select from pg_catalog.pg_publication where pubname = 'supabase_realtime' and not puballtables)
    and not exists (
      select from pg_catalog.pg_publication_tables
      where pubname = 'supabase_realtime' and schemaname = 'public' and tablename = 'learning_runs'
    )
  then
    alter publication supabase_realtime add table public.learning_runs;
  end if;
exception when insufficient_privilege then
  -- another role owns the publication: all but subscribing works without it
  raise notice 'learning_runs did not join supabase_realtime: %', sqlerrm;
end
$$;
