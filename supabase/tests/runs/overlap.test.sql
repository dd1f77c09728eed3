-- Runs that overlap, fail or are asked for twice: what is live is whole, and never older than before.
begin;
select plan(28);
truncate pm_strength.lessons, pm_strength.overrides, pm_strength.sets;

create function pg_temp.begin_run(kind text) returns bigint language sql as $$
  select (public.pm_strength_begin_run('pm', kind, pm_strength.default_settings(), gen_random_uuid()) ->> 'run_id')::bigint
$$;
create function pg_temp.lesson(edge numeric) returns jsonb language sql as $$
  select jsonb_build_array(jsonb_build_object(
    'pattern_key', 'p', 'scope_subset', jsonb_build_object('e', edge), 'n', 40, 'edge', edge
  ))
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
create function pg_temp.make(run bigint) returns jsonb language sql as $$
  select public.pm_strength_open_set(run, 1);
  select public.pm_strength_stage_overrides(run, 0, 100)
$$;
create function pg_temp.set_of(run bigint) returns bigint language sql as $$
  select s.id from pm_strength.sets s where s.run_id = run
$$;

set local role service_role;
select is(
  (public.pm_strength_begin_run('pm', 'mine', '{}', '866be140-e3e7-522e-8e79-436a4227d831') ->> 'run_id'),
  (public.pm_strength_begin_run('pm', 'mine', '{}', '866be140-e3e7-522e-8e79-436a4227d831') ->> 'run_id'),
  'asked for twice, as after a lost answer, it is one run'
);

select pg_temp.begin_run('mine') as first \gset
select pg_temp.begin_run('mine') as second \gset
select pg_temp.stage(:first, pg_temp.lesson(1));
select pg_temp.stage(:second, pg_temp.lesson(2));
select is(public.pm_strength_purge_sets(100), 0::bigint, 'what a running run staged is not purged');
select is(public.pm_strength_publish_run(:first, 1, '{}'), 'published', 'the older run is first');
select is(public.pm_strength_publish_run(:second, 1, '{}'), 'outdated', 'the newer one retired nothing of it');
select is((select status from public.learning_runs where id = :second), 'superseded', 'and its row says so');
select results_eq(
  'select run_id from public.learning_lessons', format('values (%s::bigint)', :first), 'the older one is live'
);
select is(
  public.pm_strength_publish_run(:second, 1, '{}'), 'superseded', 'a run that is over is not published'
);
select ok(not public.pm_strength_fail_run(:first, 'late'), 'one that was published does not fail any more');
select is((select status from public.learning_runs where id = :first), 'succeeded', 'its row stays');

select pg_temp.begin_run('mine') as failed \gset
select pg_temp.stage(:failed, pg_temp.lesson(3));
select public.pm_strength_fail_run(:failed, 'no power');
select throws_ok(
  format('select public.pm_strength_publish_run(%s, 1, ''{}'')', :failed), '55000', null,
  'one that failed is not published'
);
select throws_ok(
  format('select public.pm_strength_stage_retired(%s, 0, 100)', :failed), '55000', null, 'nor goes on'
);

select pg_temp.begin_run('materialize') as slow \gset
select pg_temp.begin_run('materialize') as fast \gset
select pg_temp.make(:slow);
select throws_ok(
  format('select public.pm_strength_publish_run(%s, null, ''{}'')', :fast), '22000', null, 'not before all are made'
);
select is(
  pg_temp.make(:fast), '{"looked_at": 1, "overrides": 1, "to": 1}',
  'overrides are made'
);
select is(
  pg_temp.make(:fast), '{"looked_at": 0, "overrides": 1, "to": 1}', 'each once'
);
select is((select count(*) from public.pm_overrides), 0::bigint, 'and seen by nobody');
select is(public.pm_strength_publish_run(:fast, null, '{}'), 'published', 'the newer materialization is first');
select is(public.pm_strength_publish_run(:slow, null, '{}'), 'superseded', 'the older one comes too late');
select results_eq('select multiplier from public.pm_overrides', 'values (2::float8)', 'the newer one is live');
select throws_ok(
  format('select pg_temp.make(%s)', :fast), '55000', null,
  'a published set takes no more'
);

select pg_temp.begin_run('mine') as third \gset
select pg_temp.stage(:third, pg_temp.lesson(4));
select public.pm_strength_publish_run(:third, 1, '{}');
select pg_temp.begin_run('materialize') as newer \gset
select pg_temp.make(:newer);
select public.pm_strength_publish_run(:newer, null, '{}');
select pg_temp.begin_run('materialize') as stale \gset
-- as if it had looked for its lessons before the third run was published
select pg_temp.make(:stale);
update pm_strength.sets set mining_run_id = :first where run_id = :stale;
select is(public.pm_strength_publish_run(:stale, null, '{}'), 'superseded', 'older lessons never replace newer ones');
select is(
  (pm_strength.live_set('pm', 'overrides')).mining_run_id, :third::bigint, 'what is live comes from the newest'
);

-- a reader between two pages
select is(
  jsonb_array_length(public.pm_strength_read_overrides(pg_temp.set_of(:fast)) -> 'overrides'), 1, 'the set before can be read on'
);
select is(public.pm_strength_purge_sets(100) >= 0, true, 'also after a purge');
select is(
  jsonb_array_length(public.pm_strength_read_overrides(pg_temp.set_of(:fast)) -> 'overrides'), 1, 'which leaves it there'
);
select is(public.pm_strength_read_overrides(pg_temp.set_of(:slow)) -> 'gone', 'true'::jsonb, 'a set that never was live is gone');
-- lessons that were replaced twice while their overrides were made
select pg_temp.begin_run('materialize') as left_behind \gset
select pg_temp.make(:left_behind);
update pm_strength.sets set state = 'dropped' where id = (select base_set_id from pm_strength.sets where run_id = :left_behind);
select is(
  pg_temp.make(:left_behind) ->> 'looked_at', '0', 'of lessons that are gone no overrides are made'
);
select is(public.pm_strength_publish_run(:left_behind, null, '{}'), 'outdated', 'nor published');

update public.learning_runs set status = 'running', finished_at = null, started_at = now() - interval '25 hours'
where id = :failed;
select pg_temp.begin_run('mine') as young \gset
select public.pm_strength_purge_sets(100);
select results_eq(
  format('select status from public.learning_runs where id in (%s, %s) order by id', :failed, :young),
  $$ values ('failed'), ('running') $$, 'a run that nobody works on any more fails after a day, no other'
);

select * from finish();
rollback;
