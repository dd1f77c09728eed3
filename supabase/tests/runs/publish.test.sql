-- A set is seen whole or not at all, and an older run never replaces a newer one.
begin;
select plan(17);
truncate pm_strength.lessons, pm_strength.overrides, pm_strength.sets;

create function pg_temp.lessons(edges numeric[]) returns jsonb language sql as $$
  select jsonb_agg(jsonb_build_object(
    'pattern_key', 'p', 'action_category', 'entry', 'scope_subset', jsonb_build_object('e', edge), 'n', 40,
    'stats', jsonb_build_object('n', 40, 'edge_raw', edge)
  )) from unnest(edges) edge
$$;
create function pg_temp.begin_run(kind text) returns bigint language sql as $$
  select (public.pm_strength_begin_run('pm', kind, '{}', gen_random_uuid()) ->> 'run_id')::bigint
$$;

set local role service_role;
select is(public.pm_strength_begin_run('pm', 'materialize', '{}', gen_random_uuid()), null, 'nothing to materialize yet');

select pg_temp.begin_run('mine') as first \gset
select is(public.pm_strength_stage_lessons(:first, pg_temp.lessons('{1, 2}')), 2::bigint, 'rows are staged');
select is(public.pm_strength_stage_lessons(:first, pg_temp.lessons('{2, 3}')), 1::bigint, 'each once');
select is((select count(*) from public.learning_lessons), 0::bigint, 'and seen by nobody');
select throws_ok(format('select public.pm_strength_publish_run(%s, 2, ''{}'')', :first), '22000', null, 'a set must be complete');
select is(public.pm_strength_publish_run(:first, 3, '{"lessons": 3}'), 'published', 'it is published');
select is(public.pm_strength_publish_run(:first, 3, '{"lessons": 3}'), 'published', 'asking again changes nothing');
select is((select count(*) from public.learning_lessons where run_id = :first), 3::bigint, 'and seen as a whole');
select is((select lessons from public.learning_runs where id = :first), 3::bigint, 'its row has the counts');
select throws_ok(format('select public.pm_strength_stage_lessons(%s, ''[]'')', :first), '55000', null, 'a run that ended stages no more');

select pg_temp.begin_run('mine') as slow \gset
select pg_temp.begin_run('mine') as fast \gset
select public.pm_strength_stage_lessons(:fast, pg_temp.lessons('{2, 4}'));
select public.pm_strength_stage_retired(:fast, 0, 100);
select is(public.pm_strength_publish_run(:fast, 2, '{}'), 'published', 'the newer run is first');
select is(public.pm_strength_publish_run(:slow, 0, '{}'), 'superseded', 'the older one comes too late');
select results_eq(
  $$ select (scope_subset ->> 'e')::int, status from public.learning_lessons order by 1 $$,
  $$ values (1, 'retired'), (2, 'active'), (3, 'retired'), (4, 'active') $$,
  'what was not found again is retired'
);

select pg_temp.begin_run('mine') as broken \gset
select public.pm_strength_stage_lessons(:broken, pg_temp.lessons('{9}'));
select ok(public.pm_strength_fail_run(:broken, 'no power'), 'a run can fail');
select is((select array_agg(distinct run_id) @> array[:broken::bigint] from public.learning_lessons), false, 'unseen');
select is(public.pm_strength_purge_sets(100), 1::bigint, 'and its rows go');
select is((select count(*) from public.learning_lessons), 4::bigint, 'but no others');

select * from finish();
rollback;
