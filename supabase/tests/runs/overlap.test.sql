-- Runs that overlap, fail or are asked for twice: what is live is whole, and never older than before.
begin;
select plan(28);
truncate pm_strength.lessons, pm_strength.overrides, pm_strength.sets;

create function pg_temp.begin_run(kind text) returns bigint language sql as $$
  select (public.pm_strength_begin_run('pm', kind, pm_strength.default_settings(), gen_random_uuid()) ->> 'run_id')::bigint
$$;
create function pg_temp.lesson(edge numeric) returns jsonb language sql as $$
  select jsonb_build_array(jsonb_build_object(
    'pattern_key', 'p', 'action_category', 'entry', 'scope_subset', jsonb_build_object('e', edge), 'n', 40,
    'stats', jsonb_build_object('n', 40, 'edge_raw', edge, 'support_score', 0.5, 'reliability_score', 0.5)
  ))
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
select public.pm_strength_stage_lessons(:first, pg_temp.lesson(1));
select public.pm_strength_stage_lessons(:second, pg_temp.lesson(2));
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
select public.pm_strength_stage_lessons(:failed, pg_temp.lesson(3));
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
select public.pm_strength_stage_overrides(:slow, 100);
select throws_ok(
  format('select public.pm_strength_publish_run(%s, null, ''{}'')', :fast), '22000', null, 'not before all are made'
);
select is(
  public.pm_strength_stage_overrides(:fast, 100), '{"looked_at": 1, "lessons": 1, "overrides": 1}',
  'overrides are made'
);
select is(
  public.pm_strength_stage_overrides(:fast, 100), '{"looked_at": 0, "lessons": 1, "overrides": 1}', 'each once'
);
select is((select count(*) from public.pm_overrides), 0::bigint, 'and seen by nobody');
select is(public.pm_strength_publish_run(:fast, null, '{}'), 'published', 'the newer materialization is first');
select is(public.pm_strength_publish_run(:slow, null, '{}'), 'superseded', 'the older one comes too late');
select results_eq('select multiplier from public.pm_overrides', 'values (2::float8)', 'the newer one is live');
select throws_ok(
  format('select public.pm_strength_stage_overrides(%s, 100)', :fast), '55000', null,
  'a published set takes no more'
);

select pg_temp.begin_run('mine') as third \gset
select public.pm_strength_stage_lessons(:third, pg_temp.lesson(4));
select public.pm_strength_publish_run(:third, 1, '{}');
select pg_temp.begin_run('materialize') as newer \gset
select public.pm_strength_stage_overrides(:newer, 100);
select public.pm_strength_publish_run(:newer, null, '{}');
select pg_temp.begin_run('materialize') as stale \gset
-- as if it had looked for its lessons before the third run was published
select public.pm_strength_stage_overrides(:stale, 100);
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
select public.pm_strength_stage_overrides(:left_behind, 100);
update pm_strength.sets set state = 'dropped' where id = (select base_set_id from pm_strength.sets where run_id = :left_behind);
select is(
  public.pm_strength_stage_overrides(:left_behind, 100) ->> 'looked_at', '0', 'of lessons that are gone no overrides are made'
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
