-- learning_lessons: the live set of lessons, a view on all sets.

create table pm_strength.lesson_sets (
  id bigint generated always as identity primary key,
  set_id bigint not null default pm_strength.live_set('lessons'),
  module text not null default 'pm',
  pattern_key text not null,
  action_category text not null,
  scope_subset jsonb not null,
  lesson_type text not null default 'pm_strength',
  n integer not null,
  stats jsonb not null,
  decay_halflife_hours double precision,
  status text not null default 'active',
  run_id bigint,
  updated_at timestamptz not null default now(),
  constraint lesson_sets_category check (action_category in ('entry', 'add', 'trim', 'exit')),
  constraint lesson_sets_scope check (jsonb_typeof(scope_subset) = 'object'),
  constraint lesson_sets_status check (status in ('active', 'retired'))
);
comment on table pm_strength.lesson_sets is 'The lessons of every set: the live one, the one before, and those being staged.';
comment on column pm_strength.lesson_sets.set_id is 'The mining run that published, or is staging, the set.';

-- The key of a lesson. A scope may be too long for a btree entry, so the index holds 128 bits of
-- its hash; the hash, like jsonb's equality, takes 1 and 1.0 for the same value.
create unique index lesson_sets_key on pm_strength.lesson_sets (
  set_id, module, pattern_key, action_category,
  jsonb_hash_extended(scope_subset, 0), jsonb_hash_extended(scope_subset, 1)
);
create index lesson_sets_order on pm_strength.lesson_sets (set_id, id);
create index lesson_sets_scope on pm_strength.lesson_sets using gin (scope_subset jsonb_path_ops);

-- Every run writes its sets anew and removes the ones before: dead rows are cleared away early, so
-- that tables and indexes keep to about three sets.
alter table pm_strength.lesson_sets set (autovacuum_vacuum_scale_factor = 0.05);

alter table pm_strength.lesson_sets enable row level security;
revoke all on sequence pm_strength.lesson_sets_id_seq from anon, authenticated;
revoke all on pm_strength.lesson_sets from anon, authenticated;
grant select on pm_strength.lesson_sets to authenticated;
grant all on pm_strength.lesson_sets to service_role;
create policy lesson_sets_read on pm_strength.lesson_sets
  for select to authenticated using ((select pm_strength.may_read()));

create view public.learning_lessons with (security_invoker = true) as
select
  id, module, pattern_key, action_category, scope_subset, lesson_type, n, stats,
  decay_halflife_hours, status, run_id, updated_at
from pm_strength.lesson_sets
where set_id = (select pm_strength.live_set('lessons'));
comment on view public.learning_lessons is
  'The lessons of the last complete mining run, and the retired ones of earlier runs.';
comment on column public.learning_lessons.id is 'The lesson, within this run.';
comment on column public.learning_lessons.module is 'The module that was learned for.';
comment on column public.learning_lessons.pattern_key is 'The pattern of the group.';
comment on column public.learning_lessons.action_category is 'The action of the group.';
comment on column public.learning_lessons.scope_subset is 'The slice: events whose scope contains this.';
comment on column public.learning_lessons.lesson_type is 'Always pm_strength.';
comment on column public.learning_lessons.n is 'Distinct trades in the slice.';
comment on column public.learning_lessons.stats is 'The statistics of the slice.';
comment on column public.learning_lessons.decay_halflife_hours is 'Half-life of a decaying edge, in hours.';
comment on column public.learning_lessons.status is 'active, or retired if the last run did not find it.';
comment on column public.learning_lessons.run_id is 'The mining run that computed the statistics.';
comment on column public.learning_lessons.updated_at is 'When the row was written.';
revoke all on public.learning_lessons from anon, authenticated;
grant select on public.learning_lessons to authenticated;
grant all on public.learning_lessons to service_role;

-- Staging: some thousand rows a call, so that no call comes near the API's time limit. Sending
-- the same rows twice, as a client does after a lost answer, changes nothing.
create function public.pm_strength_stage_lessons(run_id bigint, lessons jsonb) returns bigint
language plpgsql
set search_path = ''
as $$
declare
  added bigint;
begin
  perform pm_strength.assert_running(run_id);
  insert into pm_strength.lesson_sets (
    set_id, run_id, module, pattern_key, action_category, scope_subset, n, stats, decay_halflife_hours
  )
  select
    pm_strength_stage_lessons.run_id, pm_strength_stage_lessons.run_id, r.module,
    l.pattern_key, l.action_category, l.scope_subset, l.n, l.stats, l.decay_halflife_hours
  from public.learning_runs r
  cross join jsonb_to_recordset(pm_strength_stage_lessons.lessons) l (
    pattern_key text, action_category text, scope_subset jsonb, n integer, stats jsonb,
    decay_halflife_hours double precision
  )
  where r.id = pm_strength_stage_lessons.run_id
  on conflict do nothing;
  get diagnostics added = row_count;
  update pm_strength.staged_rows s set active = active + added
  where s.set_id = pm_strength_stage_lessons.run_id;
  return added;
end
$$;
comment on function public.pm_strength_stage_lessons(bigint, jsonb) is
  'Adds lessons to the set of a running mining run; returns how many were new.';
revoke execute on function public.pm_strength_stage_lessons(bigint, jsonb) from public, anon, authenticated;
grant execute on function public.pm_strength_stage_lessons(bigint, jsonb) to service_role;

-- What the live set has and the staged one lacks goes along as retired, with its last statistics,
-- until it has been retired for as long as such lessons are kept.
-- Returns the id to continue after, or null when all are through.
create function public.pm_strength_stage_retired(run_id bigint, after_id bigint, page_size integer)
returns bigint
language plpgsql
set search_path = ''
set jit = off
set enable_seqscan = off
set enable_bitmapscan = off
set enable_sort = off
as $$
declare
  last_id bigint;
begin
  perform pm_strength.assert_running(run_id);
  with base as (
    select l.*
    from pm_strength.lesson_sets l
    join pm_strength.staged_rows s on s.base_set_id = l.set_id
    where s.set_id = pm_strength_stage_retired.run_id and l.id > pm_strength_stage_retired.after_id
    order by l.id
    limit page_size
  ), kept as (
    insert into pm_strength.lesson_sets (
      set_id, run_id, module, pattern_key, action_category, scope_subset, lesson_type, n, stats,
      decay_halflife_hours, status, updated_at
    )
    select
      pm_strength_stage_retired.run_id, b.run_id, b.module, b.pattern_key, b.action_category,
      b.scope_subset, b.lesson_type, b.n, b.stats, b.decay_halflife_hours, 'retired',
      case when b.status = 'retired' then b.updated_at else now() end
    from base b
    where b.status = 'active' or b.updated_at >= pm_strength.kept_since('retired_lessons')
    order by b.id
    on conflict do nothing
  )
  select max(b.id) into last_id from base b;
  return last_id;
end
$$;
comment on function public.pm_strength_stage_retired(bigint, bigint, integer) is
  'Carries a page of the live lessons that a run did not find over as retired; returns the last id seen.';
revoke execute on function public.pm_strength_stage_retired(bigint, bigint, integer) from public, anon, authenticated;
grant execute on function public.pm_strength_stage_retired(bigint, bigint, integer) to service_role;

-- A page of active lessons of one set, with what materializing needs of them.
create function public.pm_strength_read_lessons(set_id bigint, after_id bigint, page_size integer)
returns jsonb
language plpgsql stable
set search_path = ''
set jit = off
set enable_seqscan = off
set enable_bitmapscan = off
set enable_sort = off
as $$
begin
  if not exists (
    select from pm_strength.live_sets s
    where s.kind = 'lessons'
      and pm_strength_read_lessons.set_id in (s.set_id, s.previous_set_id)
  ) then
    raise object_not_in_prerequisite_state using message = format('lesson set %s is gone', set_id);
  end if;
  return (
    select coalesce(jsonb_agg(to_jsonb(page) order by page.id), '[]')
    from (
      select l.id, l.pattern_key, l.action_category, l.scope_subset,
        l.stats -> 'edge_raw' as edge_raw,
        l.stats -> 'support_score' as support_score,
        l.stats -> 'reliability_score' as reliability_score,
        l.stats -> 'decay_meta' -> 'state' as decay_state
      from pm_strength.lesson_sets l
      where l.set_id = pm_strength_read_lessons.set_id
        and l.id > pm_strength_read_lessons.after_id
        and l.status = 'active' and l.lesson_type = 'pm_strength'
      order by l.id
      limit least(pm_strength_read_lessons.page_size, 20000)
    ) page
  );
end
$$;
comment on function public.pm_strength_read_lessons(bigint, bigint, integer) is
  'Up to page_size active lessons of a set, in order of id.';
revoke execute on function public.pm_strength_read_lessons(bigint, bigint, integer) from public, anon, authenticated;
grant execute on function public.pm_strength_read_lessons(bigint, bigint, integer) to service_role;
