-- Who may do what, from the catalog: a new object without a decision fails here.
begin;
select plan(18);

select is_empty(
  $$ select c.oid::regclass from pg_class c
     where c.relkind in ('r', 'p') and c.relnamespace in ('public'::regnamespace, 'pm_strength'::regnamespace)
       and not c.relrowsecurity $$,
  'every table has row level security'
);
select is_empty(
  $$ select c.oid::regclass from pg_class c
     where c.relkind = 'v' and c.relnamespace = 'public'::regnamespace
       and not coalesce(c.reloptions @> '{security_invoker=true}', false) $$,
  'every public view asks for the caller''s rights'
);
select is_empty(
  $$ select p.oid::regprocedure from pg_proc p
     where (p.pronamespace = 'pm_strength'::regnamespace or p.proname ~ 'pm_strength')
       and p.pronamespace <> 'pg_catalog'::regnamespace
       and coalesce(p.proconfig @> array['search_path=""'], false) is false $$,
  'every function has an empty search_path'
);
select is_empty(
  $$ select p.oid::regprocedure from pg_proc p
     where (p.pronamespace = 'pm_strength'::regnamespace or p.proname ~ 'pm_strength')
       and (has_function_privilege('anon', p.oid, 'execute')
         or exists (select from aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a where a.grantee = 0)) $$,
  'nobody executes a function by being public or anon'
);
select set_eq(
  $$ select p.proname::text from pg_proc p
     where p.pronamespace = 'public'::regnamespace and p.proname ~ 'pm_strength'
       and has_function_privilege('authenticated', p.oid, 'execute') $$,
  array[
    'resolve_pm_strength', 'resolve_pm_strength_at', 'resolve_pm_strength_batch', 'pm_strength_read_overrides',
    'pm_strength_set_at'
  ],
  'a user may resolve and read the book, with the claim'
);
select set_eq(
  $$ select c.relname::text from pg_class c
     where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'v')
       and has_table_privilege('authenticated', c.oid, 'select') $$,
  array['pm_overrides', 'pm_override_sets', 'learning_lessons', 'learning_runs', 'learning_settings'],
  'and select these, with the claim'
);
select is_empty(
  $$ select c.oid::regclass from pg_class c
     where c.relnamespace in ('public'::regnamespace, 'pm_strength'::regnamespace) and c.relkind in ('r', 'v')
       and (has_table_privilege('anon', c.oid, 'select, insert, update, delete, truncate')
         or has_table_privilege('authenticated', c.oid, 'insert, update, delete, truncate')) $$,
  'nobody else reads or writes a table'
);
select is_empty(
  $$ select c.oid::regclass from pg_class c
     where c.relnamespace = 'pgmq'::regnamespace and c.relkind = 'r' and c.relname ~ '^[qa]_pm_strength'
       and (not c.relrowsecurity or has_table_privilege('anon', c.oid, 'select')
         or has_table_privilege('authenticated', c.oid, 'select')) $$,
  'the queues are nobody''s'
);

insert into public.learning_runs (kind, settings) values ('mine', '{}');
insert into public.pm_overrides (pattern_key, action_category, scope_subset, multiplier, confidence_score)
values ('p', 'entry', '{"only": "here"}', 1.5, 0.5);
insert into public.learning_lessons (pattern_key, action_category, scope_subset, n, stats)
values ('p', 'entry', '{"only": "here"}', 1, '{}');

create function pg_temp.seen() returns setof text language sql as $$
  select v.name from (values
    ('learning_runs', (select count(*) from public.learning_runs)),
    ('learning_settings', (select count(*) from public.learning_settings)),
    ('learning_lessons', (select count(*) from public.learning_lessons)),
    ('pm_overrides', (select count(*) from public.pm_overrides)),
    ('lessons', (select count(*) from pm_strength.lessons)),
    ('overrides', (select count(*) from pm_strength.overrides)),
    ('sets', (select count(*) from pm_strength.sets)),
    ('pm_override_sets', (select count(*) from public.pm_override_sets)),
    ('live_times', (select count(*) from pm_strength.live_times)),
    ('settings_history', (select count(*) from pm_strength.settings_history))
  ) v (name, rows) where v.rows > 0
$$;
select is((select count(*) from pg_temp.seen()), 10::bigint, 'there is something to see everywhere');

set local role authenticated;
select is_empty('select pg_temp.seen()', 'a plain user sees nothing of it');
select throws_ok(
  $$ select public.resolve_pm_strength('p', 'entry', '{}') $$, '42501', 'not allowed to read PM Strength',
  'and is told so'
);
select throws_ok(format('select public.%s', call), '42501', null, format('%s: neither', call))
from (values ($$resolve_pm_strength_batch('[]')$$), ('pm_strength_read_overrides()')) reading (call);
set local request.jwt.claims = '{"user_metadata": {"pm_strength": "read"}}';
select is_empty('select pg_temp.seen()', 'what users write themselves counts for nothing');
set local request.jwt.claims = '{"app_metadata": {"pm_strength": "write"}}';
select is_empty('select pg_temp.seen()', 'another claim neither');
set local request.jwt.claims = '';
select is_empty('select pg_temp.seen()', 'nor no claims at all');
set local request.jwt.claims = '{"app_metadata": {"pm_strength": "read"}}';
select is((select count(*) from pg_temp.seen()), 10::bigint, 'a reader sees it');
select is(
  public.resolve_pm_strength('p', 'entry', '{"only": "here"}') ->> 'reason', 'matched', 'and resolves'
);

select * from finish();
rollback;
