-- What a reader calls sees the database at one moment, as the query that calls it does: were it volatile,
-- it could look for the rows of a set that was published meanwhile, and find none.
begin;
select plan(1);

select is_empty(
  $$ select p.oid::regprocedure from pg_proc p
     where p.pronamespace in ('public'::regnamespace, 'pm_strength'::regnamespace) and p.provolatile = 'v'
       and p.proname in (
         'live_set', 'effective_settings', 'resolve_one', 'resolve_pm_strength', 'resolve_pm_strength_batch',
         'pm_strength_read_overrides', 'pm_strength_read_events', 'as_of', 'modules'
       ) $$,
  'no reader is volatile'
);

select * from finish();
rollback;
