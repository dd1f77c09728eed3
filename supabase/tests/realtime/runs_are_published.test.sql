-- Where a project has realtime, runs are in it, and nothing else of ours.
begin;
select plan(1);
select is(
  (select string_agg(format('%s.%s', schemaname, tablename), ' ') from pg_publication_tables
   where pubname = 'supabase_realtime'),
  'public.learning_runs',
  'one row a run, not one an override'
);
select * from finish();
rollback;
