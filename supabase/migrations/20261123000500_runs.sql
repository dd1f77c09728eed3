-- learning_runs: one row a run, and which run's rows are live.

create table public.learning_runs (
  id bigint generated always as identity primary key,
  module text not null default 'pm',
  kind text not null,
  status text not null default 'running',
  started_at timestamptz not null default clock_timestamp(),
  finished_at timestamptz,
  source_run_id bigint references public.learning_runs (id),
  events bigint,
  trades bigint,
  lessons bigint,
  overrides bigint,
  baseline double precision,
  settings jsonb not null,
  warning text,
  error text,
  request_id uuid not null default gen_random_uuid(),
  constraint learning_runs_request unique (request_id),
  constraint learning_runs_kind check (kind in ('mine', 'materialize')),
  constraint learning_runs_status check (status in ('running', 'succeeded', 'failed', 'superseded')),
  constraint learning_runs_finished check ((status = 'running') = (finished_at is null))
);
comment on table public.learning_runs is 'One row for each mining and each materialization.';
comment on column public.learning_runs.id is 'The run; a higher number was started later.';
comment on column public.learning_runs.module is 'The module that was learned for.';
comment on column public.learning_runs.kind is 'mine (events to lessons) or materialize (lessons to overrides).';
comment on column public.learning_runs.status is
  'running, succeeded, failed (see error) or superseded (a newer run was live first).';
comment on column public.learning_runs.started_at is 'When the run began.';
comment on column public.learning_runs.finished_at is 'When it was published, failed or given up.';
comment on column public.learning_runs.source_run_id is 'The mining run whose lessons were materialized.';
comment on column public.learning_runs.events is 'Events with a finite outcome that were mined.';
comment on column public.learning_runs.trades is 'Distinct trades among them.';
comment on column public.learning_runs.lessons is 'Active lessons that were published or read.';
comment on column public.learning_runs.overrides is 'Overrides that were published.';
comment on column public.learning_runs.baseline is 'The mean outcome over all events.';
comment on column public.learning_runs.settings is 'The settings that the run went by.';
comment on column public.learning_runs.warning is 'What the run warned of, such as nearing max_lessons.';
comment on column public.learning_runs.error is 'Why the run failed.';
comment on column public.learning_runs.request_id is 'Who asked: asking again with the same id starts no second run.';
create index learning_runs_source on public.learning_runs (source_run_id);
create index learning_runs_kind on public.learning_runs (kind, status, id);

alter table public.learning_runs enable row level security;
revoke all on sequence public.learning_runs_id_seq from anon, authenticated;
revoke all on public.learning_runs from anon, authenticated;
grant select on public.learning_runs to authenticated;
grant all on public.learning_runs to service_role;
create policy learning_runs_read on public.learning_runs
  for select to authenticated using ((select pm_strength.may_read()));

-- A set is all the rows that one run published. Readers see the set that is live, so the switch
-- to a new one is the update of one row here, whatever the number of rows: a snapshot holds the
-- old set or the new one, never parts of both. Set 0 is the empty one before the first run.
create table pm_strength.live_sets (
  kind text primary key,
  set_id bigint not null default 0,
  run_id bigint references public.learning_runs (id),
  previous_set_id bigint not null default 0,
  published_at timestamptz,
  constraint live_sets_kind check (kind in ('lessons', 'overrides'))
);
comment on table pm_strength.live_sets is 'Which set of lessons and which set of overrides readers see.';
comment on column pm_strength.live_sets.kind is 'lessons or overrides.';
comment on column pm_strength.live_sets.set_id is 'The set that is live: the id of the run that published it.';
comment on column pm_strength.live_sets.run_id is 'The mining run that the set comes from.';
comment on column pm_strength.live_sets.previous_set_id is 'The set before, kept for readers between two pages.';
comment on column pm_strength.live_sets.published_at is 'When the set went live.';
create index live_sets_run on pm_strength.live_sets (run_id);
insert into pm_strength.live_sets (kind) values ('lessons'), ('overrides');

alter table pm_strength.live_sets enable row level security;
revoke all on pm_strength.live_sets from anon, authenticated;
grant select on pm_strength.live_sets to authenticated;
grant all on pm_strength.live_sets to service_role;
create policy live_sets_read on pm_strength.live_sets
  for select to authenticated using ((select pm_strength.may_read()));

create function pm_strength.live_set(kind text) returns bigint
language sql stable
set search_path = ''
as $$
  select s.set_id from pm_strength.live_sets s where s.kind = live_set.kind
$$;
comment on function pm_strength.live_set(text) is 'The set of lessons or overrides that is live.';
revoke execute on function pm_strength.live_set(text) from public, anon;
grant execute on function pm_strength.live_set(text) to authenticated, service_role;

-- Rows staged so far: publishing refuses a set that lost some on the way.
create table pm_strength.staged_rows (
  set_id bigint primary key references public.learning_runs (id),
  base_set_id bigint not null,
  active bigint not null default 0
);
comment on table pm_strength.staged_rows is 'What each unpublished run has staged.';
comment on column pm_strength.staged_rows.set_id is 'The run that stages.';
comment on column pm_strength.staged_rows.base_set_id is 'The set that was live when it began.';
comment on column pm_strength.staged_rows.active is 'Lessons or overrides staged, retired ones apart.';
alter table pm_strength.staged_rows enable row level security;
revoke all on pm_strength.staged_rows from anon, authenticated;
grant all on pm_strength.staged_rows to service_role;

-- Where a run starts: its row, and the events or lessons that it is about.
-- For a mining run that is the highest id of all events that are committed: capture holds the
-- advisory lock shared while it writes, so below that id nothing is still on its way and no
-- trade is read by half.
create function public.pm_strength_begin_run(module text, kind text, settings jsonb, request_id uuid)
returns jsonb
language plpgsql
set search_path = ''
as $$
declare
  run_id bigint;
  base pm_strength.live_sets;
  horizon bigint;
begin
  if pm_strength_begin_run.kind = 'mine' then
    perform pg_advisory_xact_lock(hashtext('pm_strength.capture'));
    select coalesce(max(e.id), 0) into horizon
    from public.pattern_trade_events e where e.module = pm_strength_begin_run.module;
    select * into strict base from pm_strength.live_sets s where s.kind = 'lessons';
  else
    select * into strict base from pm_strength.live_sets s where s.kind = 'lessons';
    if base.run_id is null then
      return null;
    end if;
  end if;

  insert into public.learning_runs (module, kind, settings, request_id, source_run_id)
  values (
    pm_strength_begin_run.module, pm_strength_begin_run.kind, pm_strength_begin_run.settings,
    pm_strength_begin_run.request_id,
    case when pm_strength_begin_run.kind = 'materialize' then base.run_id end
  )
  on conflict on constraint learning_runs_request do update set started_at = clock_timestamp()
  returning id into run_id;
  insert into pm_strength.staged_rows (set_id, base_set_id) values (run_id, base.set_id)
  on conflict (set_id) do update set base_set_id = excluded.base_set_id;

  return jsonb_build_object(
    'run_id', run_id, 'base_set_id', base.set_id, 'source_run_id', base.run_id, 'horizon', horizon
  );
end
$$;
comment on function public.pm_strength_begin_run(text, text, jsonb, uuid) is
  'Starts a mine or materialize run; null if there is no mining run to materialize.';
revoke execute on function public.pm_strength_begin_run(text, text, jsonb, uuid) from public, anon, authenticated;
grant execute on function public.pm_strength_begin_run(text, text, jsonb, uuid) to service_role;

-- A run that cannot go on. Its staged rows are swept up by pm_strength_purge_sets.
create function public.pm_strength_fail_run(run_id bigint, error text, status text default 'failed')
returns boolean
language plpgsql
set search_path = ''
as $$
begin
  update public.learning_runs r
  set status = pm_strength_fail_run.status, error = left(pm_strength_fail_run.error, 2000),
    finished_at = clock_timestamp()
  where r.id = pm_strength_fail_run.run_id and r.status = 'running';
  return found;
end
$$;
comment on function public.pm_strength_fail_run(bigint, text, text) is
  'Marks a running run as failed or superseded; false if it was not running.';
revoke execute on function public.pm_strength_fail_run(bigint, text, text) from public, anon, authenticated;
grant execute on function public.pm_strength_fail_run(bigint, text, text) to service_role;

-- Staging for a run that has failed or is published would change what nobody expects to change.
create function pm_strength.assert_running(run_id bigint) returns void
language plpgsql
set search_path = ''
as $$
begin
  if not exists (
    select from public.learning_runs r where r.id = assert_running.run_id and r.status = 'running'
  ) then
    raise object_not_in_prerequisite_state using message = format('run %s is not running', run_id);
  end if;
end
$$;
comment on function pm_strength.assert_running(bigint) is 'Raises unless the run is running.';
revoke execute on function pm_strength.assert_running(bigint) from public, anon, authenticated;
grant execute on function pm_strength.assert_running(bigint) to service_role;
