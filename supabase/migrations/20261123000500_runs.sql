-- learning_runs: one row for each mining and each materialization.

create table public.learning_runs (
  id bigint generated always as identity primary key,
  module text not null default 'pm',
  kind text not null,
  role text not null default 'live',
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
  constraint learning_runs_role check (role in ('live', 'shadow')),
  constraint learning_runs_status check (status in ('running', 'succeeded', 'failed', 'superseded')),
  constraint learning_runs_finished check ((status = 'running') = (finished_at is null))
);
comment on table public.learning_runs is 'One row for each mining and each materialization.';
comment on column public.learning_runs.id is 'The run; a higher number was started later.';
comment on column public.learning_runs.module is 'The module that was learned for.';
comment on column public.learning_runs.kind is 'mine (events to lessons) or materialize (lessons to overrides).';
comment on column public.learning_runs.role is 'live, or shadow (of the profile that is resolved beside the live one).';
comment on column public.learning_runs.status is
  'running, succeeded, failed (see error) or superseded (a newer run was live first).';
comment on column public.learning_runs.started_at is 'When the run began.';
comment on column public.learning_runs.finished_at is 'When it was published, failed or superseded.';
comment on column public.learning_runs.source_run_id is 'Of a materialization: the mining run that its lessons come from.';
comment on column public.learning_runs.events is 'Events with a finite outcome that were mined.';
comment on column public.learning_runs.trades is 'Distinct trades among them.';
comment on column public.learning_runs.lessons is 'Active lessons: those that a mining run published, or that a materialization read.';
comment on column public.learning_runs.overrides is 'Overrides that were published.';
comment on column public.learning_runs.baseline is 'The mean outcome over all events.';
comment on column public.learning_runs.settings is 'The settings that the run went by.';
comment on column public.learning_runs.warning is 'What the run warned of, such as coming near max_lessons.';
comment on column public.learning_runs.error is 'Why the run failed.';
comment on column public.learning_runs.request_id is 'Chosen by the caller: a second call with the same id starts no second run.';
create index learning_runs_source on public.learning_runs (source_run_id);
create index learning_runs_kind on public.learning_runs (kind, status, id);

alter table public.learning_runs enable row level security;
revoke all on sequence public.learning_runs_id_seq from anon, authenticated;
revoke all on public.learning_runs from anon, authenticated;
grant select on public.learning_runs to authenticated;
grant all on public.learning_runs to service_role;
create policy learning_runs_read on public.learning_runs
  for select to authenticated using ((select pm_strength.may_read()));

-- What the run has staged stays unseen, and pm_strength_purge_sets removes it.
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
