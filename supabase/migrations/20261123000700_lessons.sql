-- learning_lessons: the live lessons of all modules, a view on the lessons of all sets.

create table pm_strength.lessons (
  id bigint generated always as identity primary key,
  -- no foreign key: it would look the set up for each of a million rows
  set_id bigint not null,
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
  by_hand boolean not null default false,
  constraint lessons_category check (action_category in ('entry', 'add', 'trim', 'exit')),
  constraint lessons_scope check (jsonb_typeof(scope_subset) = 'object'),
  constraint lessons_status check (status in ('active', 'retired'))
);
comment on table pm_strength.lessons is 'The lessons of every set: those that are live, the ones before, and those being staged.';
comment on column pm_strength.lessons.set_id is 'The set that the lesson is in.';
comment on column pm_strength.lessons.by_hand is 'Whether it was written through the view.';

create trigger place_by_hand before insert on pm_strength.lessons
for each row when (new.set_id is null) execute function pm_strength.place_by_hand('lessons');
create trigger move_by_hand before update of module on pm_strength.lessons
for each row when (new.module <> old.module) execute function pm_strength.place_by_hand('lessons');

-- A scope may be too long for a btree entry, so the index holds 128 bits of its hash. Like jsonb's equality,
-- the hash takes 1 and 1.0 for the same value.
create unique index lessons_key on pm_strength.lessons (
  set_id, pattern_key, action_category,
  jsonb_hash_extended(scope_subset, 0), jsonb_hash_extended(scope_subset, 1)
);
create index lessons_order on pm_strength.lessons (set_id, id);
-- A page of the view, in order of id. Without statistics (see estimates) the planner takes a module for a few
-- rows, and would read all of them for each page.
create index lessons_module on pm_strength.lessons (module, id);
create index lessons_scope on pm_strength.lessons using gin (scope_subset jsonb_path_ops);

-- Every run writes a whole set and removes an old one. An early vacuum keeps tables and indexes at the size of
-- about three sets.
alter table pm_strength.lessons set (autovacuum_vacuum_scale_factor = 0.05);

alter table pm_strength.lessons enable row level security;
revoke all on sequence pm_strength.lessons_id_seq from anon, authenticated;
revoke all on pm_strength.lessons from anon, authenticated;
grant select on pm_strength.lessons to authenticated;
grant all on pm_strength.lessons to service_role;
create policy lessons_read on pm_strength.lessons
  for select to authenticated using ((select pm_strength.may_read()));

create view public.learning_lessons with (security_invoker = true) as
select
  id, module, pattern_key, action_category, scope_subset, lesson_type, n, stats,
  decay_halflife_hours, status, run_id, updated_at
from pm_strength.lessons
where set_id = any (array(
  select s.id from pm_strength.sets s where s.kind = 'lessons' and s.role = 'live' and s.state = 'live'
));
comment on view public.learning_lessons is
  'The lessons of each module''s last complete mining run, and the retired ones of earlier runs.';
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

-- The caller sends some thousand rows at a time, so that no call comes near the API's time limit. Sending the
-- same rows twice changes nothing, as a client does after a lost answer.
create function public.pm_strength_stage_lessons(run_id bigint, lessons jsonb) returns bigint
language plpgsql
set search_path = ''
as $$
declare
  target constant pm_strength.sets := pm_strength.staging_set(run_id);
  added bigint;
begin
  insert into pm_strength.lessons (
    set_id, run_id, module, pattern_key, action_category, scope_subset, n, stats, decay_halflife_hours
  )
  select
    target.id, target.run_id, target.module,
    l.pattern_key, l.action_category, l.scope_subset, l.n, l.stats, l.decay_halflife_hours
  from jsonb_to_recordset(pm_strength_stage_lessons.lessons) l (
    pattern_key text, action_category text, scope_subset jsonb, n integer, stats jsonb,
    decay_halflife_hours double precision
  )
  on conflict do nothing;
  get diagnostics added = row_count;
  update pm_strength.sets s set row_count = s.row_count + added where s.id = target.id;
  return added;
end
$$;
comment on function public.pm_strength_stage_lessons(bigint, jsonb) is
  'Adds lessons to the set of a running mining run; returns how many were new.';
revoke execute on function public.pm_strength_stage_lessons(bigint, jsonb) from public, anon, authenticated;
grant execute on function public.pm_strength_stage_lessons(bigint, jsonb) to service_role;

-- A lesson of the live set that the run did not find stays as retired, with its last statistics, for as long as
-- pm_retention says. Returns the id to continue after, or null at the end.
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
  target constant pm_strength.sets := pm_strength.staging_set(run_id);
  last_id bigint;
begin
  with base as (
    select l.*
    from pm_strength.lessons l
    where l.set_id = target.base_set_id and l.id > pm_strength_stage_retired.after_id
    order by l.id
    limit page_size
  ), kept as (
    insert into pm_strength.lessons (
      set_id, run_id, module, pattern_key, action_category, scope_subset, lesson_type, n, stats,
      decay_halflife_hours, status, updated_at
    )
    select
      target.id, b.run_id, b.module, b.pattern_key, b.action_category,
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
  'Copies a page of the live lessons that a run did not find into its set, as retired; returns the last id seen.';
revoke execute on function public.pm_strength_stage_retired(bigint, bigint, integer) from public, anon, authenticated;
grant execute on function public.pm_strength_stage_retired(bigint, bigint, integer) to service_role;
