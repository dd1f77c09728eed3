-- Tables and columns are described (the API's documentation), and their indexes are there.
begin;
select plan(5);

select is_empty(
  $$ select c.oid::regclass from pg_class c
     where c.relkind in ('r', 'v') and c.relnamespace in ('public'::regnamespace, 'pm_strength'::regnamespace)
       and obj_description(c.oid, 'pg_class') is null $$,
  'every table and view has a comment'
);
select is_empty(
  $$ select format('%s.%s', c.oid::regclass, a.attname) from pg_class c join pg_attribute a on a.attrelid = c.oid
     where c.relkind in ('r', 'v') and c.relnamespace = 'public'::regnamespace and a.attnum > 0
       and not a.attisdropped and col_description(c.oid, a.attnum) is null $$,
  'every column of the API has one'
);
select is_empty(
  $$ select p.oid::regprocedure from pg_proc p
     where (p.pronamespace = 'pm_strength'::regnamespace or p.proname ~ 'pm_strength')
       and p.pronamespace <> 'pg_catalog'::regnamespace and obj_description(p.oid, 'pg_proc') is null $$,
  'every function has one'
);
select set_eq(
  $$ select c.relname::text || '.' || a.attname::text
     from pg_index i
     join pg_class x on x.oid = i.indexrelid
     join pg_am am on am.oid = x.relam and am.amname = 'gin'
     join pg_class c on c.oid = i.indrelid
     join pg_attribute a on a.attrelid = c.oid and a.attnum = i.indkey[0]
     where c.relnamespace in ('public'::regnamespace, 'pm_strength'::regnamespace) $$,
  $$ values ('pattern_trade_events.scope')
     union all select kind || '_' || shelf || '.scope_subset'
     from unnest(array['lessons', 'overrides']) kind, generate_series(0, 8) shelf $$,
  'scope and both scope_subsets have a GIN index, on every shelf'
);
select is_empty(
  $$ select c.conrelid::regclass, c.conname from pg_constraint c
     where c.contype = 'f' and c.connamespace in ('public'::regnamespace, 'pm_strength'::regnamespace)
       and not exists (
         select from pg_index i where i.indrelid = c.conrelid and i.indkey[0] = c.conkey[1]
       ) $$,
  'every foreign key has an index'
);

select * from finish();
rollback;
