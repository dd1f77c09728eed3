-- A set is staged, goes live, is kept for a while, and is dropped; its row stays to tell of it.
begin;
select plan(11);
truncate pm_strength.lessons, pm_strength.overrides, pm_strength.sets;
insert into public.learning_settings (module) values ('dm');

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
create function pg_temp.mine(module text, n_min integer) returns bigint language plpgsql as $$
declare
  run bigint := public.pm_strength_begin_run(module, 'mine', jsonb_build_object('n_min', n_min), gen_random_uuid()) ->> 'run_id';
begin
  perform pg_temp.stage(run, '[{"pattern_key": "p", "scope_subset": {}, "n": 40, "edge": 0.1}]');
  return run;
end
$$;
create function pg_temp.states(module text) returns text language sql as $$
  select string_agg(s.state, ' ' order by s.id) from pm_strength.sets s
  where s.module = states.module and s.kind = 'lessons'
$$;
create function pg_temp.publish(module text) returns void language plpgsql as $$
begin
  perform public.pm_strength_publish_run(pg_temp.mine(module, 7), 1, '{}');
  while public.pm_strength_purge_sets(100) > 0 loop
  end loop;
end
$$;

set local role service_role;
select pg_temp.mine('pm', 5) as first \gset
select is(pg_temp.states('pm'), 'staging', 'a run stages a set');
select public.pm_strength_publish_run(:first, 1, '{}');
select is(pg_temp.states('pm'), 'live', 'publishing makes it live');
select pg_temp.publish('pm');
select is(pg_temp.states('pm'), 'kept live', 'the next one replaces it, and it is kept');
select is((select count(*) from pm_strength.lessons), 2::bigint, 'with its rows');
select pg_temp.publish('dm');
select is(pg_temp.states('pm'), 'kept live', 'another module changes nothing');
select pg_temp.publish('pm');
select is(pg_temp.states('pm'), 'dropped kept live', 'the one after that drops it');
select pg_temp.publish('pm');
select results_eq(
  $$ select state, row_count, settings -> 'n_min', run_id is not null, published_at <= replaced_at,
       replaced_at <= dropped_at, emptied_at is not null
     from pm_strength.sets order by id limit 1 $$,
  $$ values ('dropped', 1::bigint, '5'::jsonb, true, true, true, true) $$,
  'its row tells what it was, when its lessons are gone'
);
select is(
  (select count(distinct id >> 26) from pm_strength.lessons), 3::bigint, 'the lessons of the live and the kept sets stay'
);

select pg_temp.mine('pm', 5) as failed \gset
select public.pm_strength_fail_run(:failed, 'no power');
select public.pm_strength_purge_sets(100);
select is(
  (select state from pm_strength.sets where run_id = :failed), 'dropped', 'what a run that failed has staged is dropped'
);
select throws_ok(
  $$ insert into pm_strength.sets (kind, state) values ('lessons', 'live') $$, '23505', null,
  'a module has one live set of lessons'
);
select throws_matching(
  $$ select public.pm_strength_begin_run('xm', 'mine', '{}', gen_random_uuid()) $$,
  'module: expected one of dm, pm, got xm', 'a module without settings is not learned for'
);

select * from finish();
rollback;
