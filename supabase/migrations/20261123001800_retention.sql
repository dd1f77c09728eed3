-- Retention: what grows with time and is of no use later is removed after some days.

create table public.pm_retention (
  what text primary key,
  keep_days integer not null,
  keep_sets integer,
  keep_rows bigint,
  constraint pm_retention_what check (
    what in ('archive', 'dead_letters', 'runs', 'retired_lessons', 'lessons', 'overrides')
  ),
  constraint pm_retention_keep check (keep_days between 1 and 36500),
  constraint pm_retention_sets check (
    case when what in ('lessons', 'overrides') then keep_sets >= 1 and keep_rows >= 0
    else keep_sets is null and keep_rows is null end
  )
);
comment on table public.pm_retention is
  'For how many days to keep archived messages, closed dead letters, old runs and retired lessons.';
comment on column public.pm_retention.what is
  'archive (messages that are done), dead_letters (closed ones; open ones stay), runs, retired_lessons; lessons and overrides are their sets that were replaced.';
comment on column public.pm_retention.keep_sets is 'Of lessons and overrides: how many replaced sets of a module stay.';
comment on column public.pm_retention.keep_rows is 'Of lessons and overrides: how many rows the replaced sets of a module may have together.';
comment on column public.pm_retention.keep_days is 'Days; what is older is removed.';
insert into public.pm_retention (what, keep_days)
values ('archive', 7), ('dead_letters', 90), ('runs', 90), ('retired_lessons', 90);
insert into public.pm_retention (what, keep_days, keep_sets, keep_rows)
values ('lessons', 90, 1, 0), ('overrides', 90, 720, 200000);

alter table public.pm_retention enable row level security;
revoke all on public.pm_retention from anon, authenticated;
grant all on public.pm_retention to service_role;

create function pm_strength.kept_since(what text) returns timestamptz
language sql stable
set search_path = ''
as $$
  select clock_timestamp() - make_interval(days => coalesce(
    (select r.keep_days from public.pm_retention r where r.what = kept_since.what), 90
  ))
$$;
comment on function pm_strength.kept_since(text) is 'Rows that are older than this are removed.';
revoke execute on function pm_strength.kept_since(text) from public, anon, authenticated;
grant execute on function pm_strength.kept_since(text) to service_role;

create function pm_strength.keep_sets()
returns table (kind text, keep_sets integer, keep_rows bigint, kept_since timestamptz)
language sql stable
set search_path = ''
as $$
  select k.kind, coalesce(r.keep_sets, 1), coalesce(r.keep_rows, 0), pm_strength.kept_since(k.kind)
  from (values ('lessons'), ('overrides')) k (kind)
  left join public.pm_retention r on r.what = k.kind
$$;
comment on function pm_strength.keep_sets() is 'How many replaced sets of each kind stay, and with how many rows.';
revoke execute on function pm_strength.keep_sets() from public, anon, authenticated;
grant execute on function pm_strength.keep_sets() to service_role;

-- SECURITY DEFINER: the archives are pgmq's. A run stays while a set of it is there, or a run that started
-- from it.
create function public.pm_strength_prune(page_size integer) returns bigint
language plpgsql security definer
set search_path = ''
as $$
declare
  removed bigint := 0;
  gone bigint;
  queue text;
begin
  foreach queue in array array['pm_strength_trades', 'pm_strength_jobs'] loop
    execute format(
      'delete from pgmq.%1$I a where a.msg_id in (
         select o.msg_id from pgmq.%1$I o where o.archived_at < $1 limit $2
       )', 'a_' || queue
    ) using pm_strength.kept_since('archive'), page_size;
    get diagnostics gone = row_count;
    removed := removed + gone;
  end loop;

  delete from public.pm_dead_letters d
  where d.id in (
    select o.id from public.pm_dead_letters o
    where coalesce(o.requeued_at, o.resolved_at) < pm_strength.kept_since('dead_letters')
    limit page_size
  );
  get diagnostics gone = row_count;
  removed := removed + gone;

  delete from pm_strength.sets d
  where d.id in (
    select o.id from pm_strength.sets o where o.emptied_at < pm_strength.kept_since('runs') limit page_size
  );
  get diagnostics gone = row_count;
  removed := removed + gone;

  delete from public.learning_runs r
  where r.id in (
    select o.id from public.learning_runs o
    where o.status <> 'running' and o.finished_at < pm_strength.kept_since('runs')
      and not exists (select from public.learning_runs m where m.source_run_id = o.id)
      and not exists (select from pm_strength.sets s where o.id in (s.run_id, s.mining_run_id))
    limit page_size
  );
  get diagnostics gone = row_count;
  return removed + gone;
end
$$;
comment on function public.pm_strength_prune(integer) is
  'Removes up to page_size old rows of each kind; call until it returns 0.';
revoke execute on function public.pm_strength_prune(integer) from public, anon, authenticated;
grant execute on function public.pm_strength_prune(integer) to service_role;
