-- Every table, view, sequence and function times every role times every verb, from the catalog. An
-- object that has no line here, or is given more or less than its line says, fails.
begin;
select plan(7);

create temp table decided (object text primary key, authenticated text, service_role text) on commit drop;
insert into decided (object, authenticated, service_role) values
  ('pgmq.a_pm_strength_jobs', '', ''),
  ('pgmq.a_pm_strength_trades', '', ''),
  ('pgmq.q_pm_strength_jobs', '', ''),
  ('pgmq.q_pm_strength_trades', '', ''),
  ('pm_strength.described_lessons', 'select', 'select'),
  ('pm_strength.event_epoch', '', 'all'),
  ('pm_strength.lessons', 'select', 'all'),
  ('pm_strength.run_constants', 'select', 'all'),
  ('pm_strength.overrides', 'select', 'all'),
  ('pm_strength.live_times', 'select', 'all'),
  ('pm_strength.schedule', '', 'all'),
  ('pm_strength.settings_history', 'select', 'all'),
  ('pm_strength.sets', 'select', 'all'),
  ('pm_strength.strands', '', ''),
  ('public.ad_strands', '', 'all'),
  ('public.learning_lessons', 'select', 'all'),
  ('public.learning_runs', 'select', 'all'),
  ('public.learning_settings', 'select', 'all'),
  ('public.pattern_trade_events', '', 'all'),
  ('public.pm_dead_letters', '', 'all'),
  ('public.pm_override_sets', 'select', 'select'),
  ('public.pm_overrides', 'select', 'all'),
  ('public.pm_retention', '', 'all');

insert into decided (object, authenticated, service_role)
select 'pm_strength.' || kind || '_' || shelf, 'select', 'all'
from unnest(array['lessons', 'overrides']) kind, generate_series(0, 8) shelf;

create temp view given as
select
  format('%s.%s', c.relnamespace::regnamespace, c.relname) as object,
  r.role,
  coalesce(string_agg(v.verb, ' ' order by v.verb) filter (where has_table_privilege(r.role, c.oid, v.verb)), '') as verbs
from pg_class c
cross join (values ('anon'), ('authenticated'), ('service_role')) r (role)
cross join (values ('select'), ('insert'), ('update'), ('delete'), ('truncate'), ('references'), ('trigger')) v (verb)
where c.relkind in ('r', 'p', 'v', 'm', 'f')
  and (
    c.relnamespace in ('public'::regnamespace, 'pm_strength'::regnamespace)
    or (c.relnamespace = 'pgmq'::regnamespace and c.relname ~ 'pm_strength')
  )
  and not exists (select from pg_depend d where d.objid = c.oid and d.deptype = 'e' and d.classid = 'pg_class'::regclass)
group by 1, 2;

select set_eq('select distinct object from given', 'select object from decided', 'every table and view has a decision');
select is_empty(
  $$ select g.object, g.role, g.verbs from given g join decided d using (object)
     where g.verbs is distinct from case g.role
       when 'anon' then ''
       when 'authenticated' then d.authenticated
       else case d.service_role
         when 'all' then 'delete insert references select trigger truncate update' else d.service_role end
     end $$,
  'each role has the verbs that were decided, and no other'
);
select is_empty(
  $$ select c.oid::regclass, r.role from pg_class c
     cross join (values ('anon'), ('authenticated')) r (role)
     where c.relkind = 'S' and c.relnamespace in ('public'::regnamespace, 'pm_strength'::regnamespace)
       and (has_sequence_privilege(r.role, c.oid, 'usage') or has_sequence_privilege(r.role, c.oid, 'select')
         or has_sequence_privilege(r.role, c.oid, 'update')) $$,
  'sequences are nobody''s'
);

select is_empty(
  $$ select r.role, v.verb from (values ('anon'), ('authenticated'), ('service_role')) r (role)
     cross join (values ('usage'), ('create')) v (verb)
     where has_schema_privilege(r.role, 'pm_strength', v.verb) <> (r.role <> 'anon' and v.verb = 'usage') $$,
  'the private schema is closed to anon, and nobody adds to it'
);

create temp table decided_functions (name text primary key, authenticated boolean, service_role boolean) on commit drop;
insert into decided_functions (name, authenticated, service_role)
select name, false, true from unnest(array[
  'pm_strength.assert_module', 'pm_strength.assert_queue', 'pm_strength.dead_letter', 'pm_strength.drop_sets',
  'pm_strength.modules', 'pm_strength.staging_set',
  'pm_strength.dimension_count', 'pm_strength.kept_since', 'pm_strength.lead', 'pm_strength.only_doubles',
  'pm_strength.slot',
  'public.pm_strength_archive', 'public.pm_strength_begin_run', 'public.pm_strength_claim_trades',
  'public.pm_strength_commit_trades', 'public.pm_strength_capture_plain', 'pm_strength.resolve_letters',
  'public.pm_strength_dead_letter', 'public.pm_strength_enqueue_due', 'public.pm_strength_enqueue_job',
  'public.pm_strength_extend', 'public.pm_strength_fail_run', 'public.pm_strength_fill_action_at', 'public.pm_strength_prune',
  'public.pm_strength_publish_run', 'public.pm_strength_purge_sets', 'public.pm_strength_queue_status',
  'public.pm_strength_read_events', 'public.pm_strength_read_job',
  'public.pm_strength_read_trades', 'public.pm_strength_repair', 'public.pm_strength_requeue',
  'public.pm_strength_set_aside', 'public.pm_strength_weigh_trade',
  'public.pm_strength_stage_lessons', 'public.pm_strength_stage_overrides',
  'public.pm_strength_stage_leaving', 'public.pm_strength_stage_retired', 'public.pm_strength_sweep',
  'public.pm_strength_weigh_exposure', 'pm_strength.limiting_set', 'pm_strength.switch_live', 'pm_strength.keep_sets',
  'pm_strength.empty_shelf', 'pm_strength.is_staged', 'pm_strength.note_staged', 'pm_strength.set_for_hand',
  'pm_strength.write_lesson', 'pm_strength.write_override', 'public.pm_strength_index_set', 'public.pm_strength_open_set',
  'public.pm_strength_check_events', 'public.pm_strength_scope_bits', 'public.pm_strength_rollback', 'public.pm_strength_unpin', 'public.pm_strength_replay'
]) name
union all
-- called by the trigger and by functions that run as their owner
select name, false, false from unnest(array[
  'pm_strength.enqueue_closed', 'pm_strength.enqueue_missed', 'pm_strength.has_new_action',
  'pm_strength.keep_settings', 'pm_strength.needed', 'pm_strength.raise_epoch', 'pm_strength.shelf_indexes', 'pm_strength.make_index', 'pm_strength.queue_exists', 'pm_strength.queue_fits'
]) name
union all
select name, true, true from unnest(array[
  'pm_strength.assert_settings', 'pm_strength.default_settings', 'pm_strength.effective_settings', 'pm_strength.strategy_of',
  'pm_strength.complete_settings', 'pm_strength.settings_at', 'pm_strength.in_canary', 'pm_strength.resolve_roles', 'pm_strength.set_at', 'public.pm_strength_set_at',
  'public.resolve_pm_strength_at',
  'pm_strength.as_of', 'pm_strength.live_set', 'pm_strength.may_read', 'pm_strength.require_reader', 'pm_strength.setting_error',
  'pm_strength.settings_error', 'pm_strength.resolve_one', 'pm_strength.group_bits', 'pm_strength.set_bits', 'pm_strength.overrides_by_lead', 'pm_strength.is_there',
  'public.pm_strength_read_overrides', 'public.resolve_pm_strength', 'public.resolve_pm_strength_batch'
]) name;

create temp view given_functions as
select
  format('%s.%s', p.pronamespace::regnamespace, p.proname) as name, p.oid,
  has_function_privilege('anon', p.oid, 'execute') as anon,
  has_function_privilege('authenticated', p.oid, 'execute') as authenticated,
  has_function_privilege('service_role', p.oid, 'execute') as service_role
from pg_proc p
where (p.pronamespace = 'pm_strength'::regnamespace or (p.pronamespace = 'public'::regnamespace and p.prokind = 'f'))
  and not exists (select from pg_depend d where d.objid = p.oid and d.deptype = 'e' and d.classid = 'pg_proc'::regclass);

select set_eq(
  'select distinct name from given_functions', 'select name from decided_functions',
  'every function has a decision'
);
select is_empty(
  $$ select g.oid::regprocedure from given_functions g join decided_functions d using (name)
     where g.anon or g.authenticated <> d.authenticated or g.service_role <> d.service_role
       or exists (
         select from pg_proc p, aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
         where p.oid = g.oid and a.grantee = 0
       ) $$,
  'each role may execute what was decided, and no other; public nothing'
);
select is_empty(
  $$ select p.oid::regprocedure from pg_proc p join given_functions g using (oid)
     where p.prosecdef and coalesce(obj_description(p.oid, 'pg_proc'), '') = '' $$,
  'a function with its owner''s rights is described'
);

select * from finish();
rollback;
