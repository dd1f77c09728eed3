-- A set is seen whole or not at all, and an older run never replaces a newer one.
begin;
select plan(20);
truncate pm_strength.lessons, pm_strength.overrides, pm_strength.sets;

create function pg_temp.lessons(edges numeric[]) returns jsonb language sql as $$
  select jsonb_agg(jsonb_build_object(
    'pattern_key', 'p', 'scope_subset', jsonb_build_object('e', edge), 'n', 40, 'edge', edge
  )) from unnest(edges) edge
$$;
create function pg_temp.stage(run bigint, lessons jsonb, first bigint default 0, expected bigint default 0) returns bigint
language sql as $$
  select public.pm_strength_open_set(run, greatest(expected, jsonb_array_length(lessons)), 0);
  select public.pm_strength_stage_lessons(
    run, first, array_agg(r.key), array_agg(text 'entry'), array_agg(r.place::integer), string_agg(r.scope::text, E'\n'),
    array_agg(pm_strength.lead(r.key, 'entry', r.scope)),
    array_agg(pm_strength.dimension_count(r.scope)::smallint), array_agg(r.n),
    array_agg(r.edge), array_agg(1.0::float8), array_agg(r.edge), array_agg(null::float8), array_agg(null::float8),
    array_agg(0::smallint), array_agg(1.0::float8), array_agg(1.0::float8), array_agg(1.0::float8),
    array_agg(0.5::float8), array_agg(0.1::float8)
  )
  from (
    select l.value ->> 'pattern_key' as key, l.value -> 'scope_subset' as scope, (l.value ->> 'n')::integer as n,
      (l.value ->> 'edge')::float8 as edge, l.place
    from jsonb_array_elements(lessons) with ordinality l (value, place)
  ) r
$$;
create function pg_temp.begin_run(kind text, settings jsonb default '{}') returns bigint language sql as $$
  select (public.pm_strength_begin_run('pm', kind, settings, gen_random_uuid()) ->> 'run_id')::bigint
$$;

set local role service_role;
select is(public.pm_strength_begin_run('pm', 'materialize', '{}', gen_random_uuid()), null, 'nothing to materialize yet');

select pg_temp.begin_run('mine') as first \gset
select is(pg_temp.stage(:first, pg_temp.lessons('{1, 2}'), 0, 3), 2::bigint, 'rows are staged');
select is(pg_temp.stage(:first, pg_temp.lessons('{1, 2}'), 0, 3), 0::bigint, 'each once');
select is(pg_temp.stage(:first, pg_temp.lessons('{3}'), 2, 3), 1::bigint, 'page by page');
select is((select count(*) from public.learning_lessons), 0::bigint, 'and seen by nobody');
select throws_ok(format('select public.pm_strength_publish_run(%s, 2, ''{}'')', :first), '22000', null, 'a set must be complete');
select is(public.pm_strength_publish_run(:first, 3, '{"lessons": 3}'), 'published', 'it is published');
select is(public.pm_strength_publish_run(:first, 3, '{"lessons": 3}'), 'published', 'asking again changes nothing');
select is((select count(*) from public.learning_lessons where run_id = :first), 3::bigint, 'and seen as a whole');
select is((select lessons from public.learning_runs where id = :first), 3::bigint, 'its row has the counts');
select throws_ok(format('select pg_temp.stage(%s, ''[]'')', :first), '55000', null, 'a run that ended stages no more');

select pg_temp.begin_run('mine') as slow \gset
select pg_temp.begin_run('mine', '{"n_min": 40}') as fast \gset
select pg_temp.stage(:fast, pg_temp.lessons('{2, 4}'));
select is(public.pm_strength_stage_retired(:fast, 0, 100), 0, 'in one part');
select is(public.pm_strength_stage_retired(:fast, 0, 100), 0, 'once');
select is(public.pm_strength_publish_run(:fast, 2, '{}'), 'published', 'the newer run is first');
select is(public.pm_strength_publish_run(:slow, 0, '{}'), 'superseded', 'the older one comes too late');
select results_eq(
  $$ select (scope_subset ->> 'e')::int, status from public.learning_lessons order by 1 $$,
  $$ values (1, 'retired'), (2, 'active'), (3, 'retired'), (4, 'active') $$,
  'what was not found again is retired'
);

select pg_temp.begin_run('mine') as broken \gset
select pg_temp.stage(:broken, pg_temp.lessons('{9}'));
select ok(public.pm_strength_fail_run(:broken, 'no power'), 'a run can fail');
select is((select array_agg(distinct run_id) @> array[:broken::bigint] from public.learning_lessons), false, 'unseen');
select is(public.pm_strength_purge_sets(100), 1::bigint, 'and its rows go');
select is((select count(*) from public.learning_lessons), 4::bigint, 'but no others');

select * from finish();
rollback;
