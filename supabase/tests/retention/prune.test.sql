-- What is past its time goes; what is in use, open or still running stays, however old it is.
begin;
select plan(11);
truncate pm_strength.lessons, pm_strength.overrides, pm_strength.sets, public.pm_dead_letters;
delete from public.learning_runs where source_run_id is not null;
delete from public.learning_runs;

-- the error says what each is
insert into public.learning_runs (kind, status, started_at, finished_at, settings, error)
select 'mine', 'succeeded', now() - interval '100 days', now() - interval '100 days', '{}', what
from unnest(array['old', 'live', 'before', 'mined', 'source', 'staged', 'emptied', 'emptied long ago']) what;
insert into public.learning_runs (kind, status, started_at, settings, error)
values ('mine', 'running', now() - interval '100 days', '{}', 'running');
insert into public.learning_runs (kind, status, started_at, finished_at, settings, error, source_run_id)
select 'materialize', 'failed', r.started_at, now() - age, '{}', what, r.id
from public.learning_runs r
cross join (values ('young', interval '1 day'), ('long', interval '99 days')) kept (what, age)
where r.error = case what when 'young' then 'source' else 'mined' end;
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
create function pg_temp.run(what text) returns bigint language sql as $$
  select id from public.learning_runs where error = what
$$;
insert into pm_strength.sets (kind, state, run_id, mining_run_id, emptied_at, next_row)
select 'lessons', s.state, pg_temp.run(s.what), pg_temp.run('mined'), s.emptied_at, 4
from (values
  ('live', 'live', null), ('before', 'kept', null), ('staged', 'staging', null),
  ('emptied', 'dropped', now() - interval '1 day'), ('emptied long ago', 'dropped', now() - interval '91 days')
) s (what, state, emptied_at);

insert into public.pm_dead_letters (queue, strand_id, code, reason, message, created_at, requeued_at, resolved_at)
select 'pm_strength_trades', what, 'bad_strand', 'r', '{}', now() - interval '400 days', requeued, resolved
from (values
  ('open', null, null), ('requeued long ago', now() - interval '91 days', null),
  ('resolved long ago', null, now() - interval '91 days'), ('requeued', now() - interval '89 days', null),
  ('resolved', null, now() - interval '89 days')
) letter (what, requeued, resolved);

insert into public.pattern_trade_events (strand_id, trade_id, pattern_key, action_category, scope, rr, "timestamp", created_at)
values ('a', '866be140-e3e7-522e-8e79-436a4227d831', 'p', 'entry', '{}', 1, '2000-01-01', '2000-01-01');

set local role service_role;
do $$ begin while public.pm_strength_prune(2) > 0 loop end loop; end $$;
select set_eq(
  'select error from public.learning_runs', array['live', 'before', 'mined', 'source', 'young', 'staged', 'running', 'emptied'],
  'runs: the old ones that nothing hangs on are gone'
);
select set_eq(
  'select strand_id from public.pm_dead_letters', array['open', 'requeued', 'resolved'],
  'dead letters: those that have been closed for long'
);
select is((select count(*) from public.pattern_trade_events where strand_id = 'a'), 1::bigint, 'events stay');
select is(public.pm_strength_prune(100), 0::bigint, 'that was all');

-- lessons that a run did not find again
reset role;
insert into pm_strength.lessons (id, run_id, pattern_key, action_category, scope_subset, n, stats, retired, updated_at)
select (pm_strength.live_set('pm', 'lessons')).first_id + row_number() over () - 1, pg_temp.run('live'), what, 'entry', '{}',
  40, '{"edge_raw": 1}', status = 'retired', now() - age
from (values
  ('found before', 'active', interval '200 days'), ('found again', 'active', interval '1 day'),
  ('retired long ago', 'retired', interval '91 days'), ('retired', 'retired', interval '89 days')
) lesson (what, status, age);
set local role service_role;
select (public.pm_strength_begin_run('pm', 'mine', '{}', gen_random_uuid()) ->> 'run_id')::bigint as run \gset
select pg_temp.stage(:run, '[{"pattern_key": "found again", "scope_subset": {}, "n": 41, "edge": 2}]');
select is(public.pm_strength_stage_retired(:run, 0, 3), 1, 'part by part');
select is(public.pm_strength_stage_retired(:run, 1, 3), 0, 'until none is left');
select is(public.pm_strength_publish_run(:run, 1, '{}'), 'published', 'retired ones do not count as found');
select set_eq(
  'select pattern_key || status from public.learning_lessons',
  array['found beforeretired', 'found againactive', 'retiredretired'], 'all but those retired for long are there'
);
select is(
  (select n from public.learning_lessons where status = 'active'), 41, 'what was found again has its new statistics'
);
select results_eq(
  'select pattern_key, (now() - updated_at)::text from public.learning_lessons where status = ''retired'' order by 1',
  $$ values ('found before', '00:00:00'), ('retired', '89 days') $$, 'a lesson is retired once, and ages from then'
);
select (public.pm_strength_begin_run('pm', 'materialize', pm_strength.default_settings(), gen_random_uuid()) ->> 'run_id')::bigint as made \gset
select public.pm_strength_open_set(:made, 1);
select is(
  public.pm_strength_stage_overrides(:made, 0, 100), '{"looked_at": 3, "overrides": 1, "to": 3}',
  'and no override is made of a retired one'
);

select * from finish();
rollback;
