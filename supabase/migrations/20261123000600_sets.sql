-- Sets: the versions of a module's lessons and overrides. A run stages the rows of one set, which no reader
-- sees; publishing makes the set live, and what was live is kept for a while.

create table pm_strength.sets (
  id bigint generated always as identity primary key,
  module text not null default 'pm',
  kind text not null,
  profile text not null default 'source',
  role text not null default 'live',
  state text not null default 'staging',
  run_id bigint references public.learning_runs (id),
  mining_run_id bigint references public.learning_runs (id),
  base_set_id bigint references pm_strength.sets (id) on delete set null,
  previous_set_id bigint,
  settings jsonb not null default '{}',
  row_count bigint not null default 0,
  exposure_scale double precision not null default 1,
  expects bigint,
  staged int8multirange not null default '{}',
  retired_to integer not null default 0,
  next_row bigint not null default 0,
  shelf smallint not null default 0,
  first_id bigint not null generated always as ((shelf::bigint << 49) + (id << 26)) stored,
  epoch bigint,
  hand_at timestamptz,
  pinned boolean not null default false,
  created_at timestamptz not null default clock_timestamp(),
  published_at timestamptz,
  replaced_at timestamptz,
  dropped_at timestamptz,
  emptied_at timestamptz,
  constraint sets_kind check (kind in ('lessons', 'overrides')),
  constraint sets_profile check (profile in ('source', 'guarded')),
  constraint sets_role check (role in ('live', 'shadow')),
  constraint sets_id check (id < 8388608),
  constraint sets_shelf check (shelf between 0 and 8),
  constraint sets_exposure_scale check (exposure_scale between 0 and 1),
  constraint sets_state check (state in ('staging', 'live', 'kept', 'dropped')),
  constraint sets_run unique (run_id, kind, profile)
);
comment on table pm_strength.sets is 'One row for each version of a module''s lessons or overrides.';
comment on column pm_strength.sets.id is 'The set; rows of lessons and overrides name it.';
comment on column pm_strength.sets.module is 'The module that was learned for.';
comment on column pm_strength.sets.kind is 'lessons or overrides.';
comment on column pm_strength.sets.profile is 'The method of learning.';
comment on column pm_strength.sets.role is 'live (it sizes trades) or shadow (it is resolved beside the live one).';
comment on column pm_strength.sets.exposure_scale is
  'What the part of a resolved multiplier above 1 is multiplied by, to keep to max_added_exposure.';
comment on column pm_strength.sets.state is
  'staging (a run fills it), live (readers see it), kept (the one before), dropped (its rows are removed).';
comment on column pm_strength.sets.run_id is 'The run that made it; null for rows written by hand.';
comment on column pm_strength.sets.mining_run_id is 'The mining run that its numbers come from.';
comment on column pm_strength.sets.base_set_id is 'The set of lessons that it started from.';
comment on column pm_strength.sets.previous_set_id is
  'Of overrides: the set that was live when its run began, from which max_change counts.';
comment on column pm_strength.sets.settings is 'The settings that its run went by.';
comment on column pm_strength.sets.row_count is 'Active lessons, or overrides, that were staged.';
comment on column pm_strength.sets.expects is
  'Of lessons: how many its run has; of overrides: how many lessons of the base set are to be looked at; null until it is opened.';
comment on column pm_strength.sets.staged is
  'Of lessons: the numbers of those that the run has sent; of overrides: of the lessons that were looked at.';
comment on column pm_strength.sets.next_row is 'The number of its next row; the id of a row is first_id + number. Rows written by hand have numbers from 2^25 on.';
comment on column pm_strength.sets.first_id is 'Its rows have ids from here on, 2^26 of them: shelf * 2^49 + id * 2^26.';
comment on column pm_strength.sets.retired_to is 'Of lessons: how many parts of the base set were looked through for retired ones.';
comment on column pm_strength.sets.shelf is 'Where its rows are: 0 is shared by all sets, each other shelf holds one set.';
comment on column pm_strength.sets.hand_at is 'Of overrides: when the newest of those that are written by hand was.';
comment on column pm_strength.sets.epoch is 'Of lessons: the epoch of the events when the run began.';
comment on column pm_strength.sets.pinned is 'Whether it is live because of a rollback, and no run replaces it.';
comment on column pm_strength.sets.created_at is 'When its run began.';
comment on column pm_strength.sets.published_at is 'When it last went live.';
comment on column pm_strength.sets.replaced_at is 'When the next set went live.';
comment on column pm_strength.sets.dropped_at is 'When it was dropped: from then on no reader gets it.';
comment on column pm_strength.sets.emptied_at is 'When the last of its rows was removed.';

-- A set can be live more than once, as a rollback makes one live again.
create table pm_strength.live_times (
  -- no foreign key: a time whose set is gone must not look like one without overrides
  set_id bigint not null,
  module text not null,
  role text not null,
  live_from timestamptz not null default clock_timestamp(),
  live_to timestamptz,
  pinned boolean not null default false,
  primary key (set_id, live_from)
);
comment on table pm_strength.live_times is 'When each set of overrides was live.';
comment on column pm_strength.live_times.set_id is 'The set.';
comment on column pm_strength.live_times.module is 'Its module.';
comment on column pm_strength.live_times.role is 'Its role.';
comment on column pm_strength.live_times.live_from is 'From when on.';
comment on column pm_strength.live_times.live_to is 'Until when; null while it is live.';
comment on column pm_strength.live_times.pinned is 'Whether a rollback pinned it: then it does not become stale.';
create index live_times_module on pm_strength.live_times (module, role, live_from);
create unique index live_times_now on pm_strength.live_times (module, role) where live_to is null;

alter table pm_strength.live_times enable row level security;
revoke all on pm_strength.live_times from anon, authenticated;
grant select on pm_strength.live_times to authenticated;
grant all on pm_strength.live_times to service_role;
create policy live_times_read on pm_strength.live_times
  for select to authenticated using ((select pm_strength.may_read()));

create function pm_strength.switch_live(target pm_strength.sets, pinned boolean) returns void
language plpgsql
set search_path = ''
as $$
declare
  now constant timestamptz := clock_timestamp();
begin
  update pm_strength.sets s set state = 'kept', replaced_at = now
  where s.module = target.module and s.kind = target.kind and s.role = target.role and s.state = 'live'
    and s.id <> target.id;
  update pm_strength.sets s
  set state = 'live', published_at = now, replaced_at = null, pinned = switch_live.pinned
  where s.id = target.id;
  if target.kind = 'overrides' then
    update pm_strength.live_times t set live_to = now
    where t.module = target.module and t.role = target.role and t.live_to is null;
    insert into pm_strength.live_times (set_id, module, role, live_from, pinned)
    values (target.id, target.module, target.role, now, switch_live.pinned);
  end if;
end
$$;
comment on function pm_strength.switch_live(pm_strength.sets, boolean) is
  'Makes a set the live one of its module, kind and role, from now on.';
revoke execute on function pm_strength.switch_live(pm_strength.sets, boolean) from public, anon, authenticated;
grant execute on function pm_strength.switch_live(pm_strength.sets, boolean) to service_role;

-- A reader finds the live set here. Publishing changes two rows in one transaction, whatever the number of
-- lessons or overrides: a snapshot holds the old set or the new one, never parts of both.
create unique index sets_live on pm_strength.sets (module, kind, role) where state = 'live';
create index sets_base on pm_strength.sets (base_set_id);
create index sets_mining_run on pm_strength.sets (mining_run_id);

alter table pm_strength.sets enable row level security;
revoke all on sequence pm_strength.sets_id_seq from anon, authenticated;
revoke all on pm_strength.sets from anon, authenticated;
grant select on pm_strength.sets to authenticated;
grant all on pm_strength.sets to service_role;
create policy sets_read on pm_strength.sets
  for select to authenticated using ((select pm_strength.may_read()));

create function pm_strength.live_set(module text, kind text, role text default 'live') returns pm_strength.sets
language plpgsql stable
set search_path = ''
as $$
declare
  found_set pm_strength.sets;
begin
  -- as an expression of PL/pgSQL its plan is kept, which that of a function in SQL is not before Postgres 18
  select s.* into found_set from pm_strength.sets s
  where s.module = live_set.module and s.kind = live_set.kind and s.role = live_set.role and s.state = 'live';
  return found_set;
end
$$;
comment on function pm_strength.live_set(text, text, text) is
  'The set of a module''s lessons or overrides that is live, or that is its shadow; null before the first.';
revoke execute on function pm_strength.live_set(text, text, text) from public, anon;
grant execute on function pm_strength.live_set(text, text, text) to authenticated, service_role;

-- A mining run reads the events up to the horizon, the highest id of all committed events. Capture holds the
-- advisory lock shared while it writes, so below the horizon no transaction is still open, and no trade is
-- read by half.
create function public.pm_strength_begin_run(
  module text, kind text, settings jsonb, request_id uuid, role text default 'live'
) returns jsonb
language plpgsql
set search_path = ''
set jit = off
set enable_seqscan = off
set enable_bitmapscan = off
set enable_sort = off
as $$
declare
  run public.learning_runs;
  base pm_strength.sets;
  horizon bigint;
  epoch bigint;
begin
  perform pm_strength.assert_module(module);
  if pm_strength_begin_run.kind = 'mine' then
    perform pg_advisory_xact_lock(hashtext('pm_strength.capture'));
    select e.epoch into epoch from pm_strength.event_epoch e;
    -- as in pm_strength_read_events: one entry of the index, also for a module without events
    select coalesce((
      select e.id from public.pattern_trade_events e
      where (e.module, e.id) >= (pm_strength_begin_run.module, 0) and (e.module, e.id) < (pm_strength_begin_run.module, 9223372036854775807)
      order by e.module desc, e.id desc
      limit 1
    ), 0) into horizon;
  end if;
  base := pm_strength.live_set(module, 'lessons', role);
  if pm_strength_begin_run.kind = 'materialize' and base.run_id is null then
    return null;
  end if;

  insert into public.learning_runs (module, kind, role, settings, request_id, source_run_id)
  values (
    pm_strength_begin_run.module, pm_strength_begin_run.kind, pm_strength_begin_run.role,
    pm_strength_begin_run.settings,
    pm_strength_begin_run.request_id,
    case when pm_strength_begin_run.kind = 'materialize' then base.run_id end
  )
  on conflict on constraint learning_runs_request do update set started_at = clock_timestamp()
  returning * into run;
  -- asked for again, a run keeps the lessons that it began with, whatever went live in between
  insert into pm_strength.sets (
    module, kind, role, profile, run_id, mining_run_id, base_set_id, previous_set_id, settings, epoch
  )
  values (
    pm_strength_begin_run.module,
    case pm_strength_begin_run.kind when 'mine' then 'lessons' else 'overrides' end,
    pm_strength_begin_run.role,
    -- overrides are of the profile that their lessons were mined by, whatever the settings say meanwhile
    coalesce(
      case pm_strength_begin_run.kind when 'materialize' then base.profile end,
      pm_strength_begin_run.settings ->> 'profile', 'source'
    ),
    run.id,
    case pm_strength_begin_run.kind when 'mine' then run.id else base.run_id end,
    base.id,
    case pm_strength_begin_run.kind when 'materialize' then (pm_strength.live_set(module, 'overrides', role)).id end,
    pm_strength_begin_run.settings, epoch
  )
  on conflict on constraint sets_run do nothing;
  select b.* into base from pm_strength.sets s join pm_strength.sets b on b.id = s.base_set_id where s.run_id = run.id;
  return jsonb_build_object(
    'run_id', run.id, 'horizon', horizon, 'epoch', epoch, 'lessons', base.row_count,
    -- the lessons make about as many overrides each as those before
    'expected', case when pm_strength_begin_run.kind = 'materialize' then coalesce((
      select least(o.row_count * base.row_count / o.expects, base.row_count)
      from pm_strength.live_set(module, 'overrides', role) o
      where o.profile = base.profile and o.expects > 0
    ), base.row_count) end
  );
end
$$;
comment on function public.pm_strength_begin_run(text, text, jsonb, uuid, text) is
  'Starts a mine or materialize run of a module: {run_id, horizon, epoch, lessons, expected}: lessons of the live set, expected overrides; null if there is no mining run to materialize.';
revoke execute on function public.pm_strength_begin_run(text, text, jsonb, uuid, text) from public, anon, authenticated;
grant execute on function public.pm_strength_begin_run(text, text, jsonb, uuid, text) to service_role;

-- Nothing may be staged for a run that has ended: its set may be live.
-- The rows of a set are numbered, and their ids begin with the shelf and the set: 4 bits, 23 bits, and 26 of the number,
-- which every client's numbers hold. So the rows of a set are a range of ids, and so is a shelf.
create function pm_strength.staging_set(run_id bigint) returns pm_strength.sets
language plpgsql
set search_path = ''
as $$
declare
  staged pm_strength.sets;
begin
  select s.* into staged
  from pm_strength.sets s
  join public.learning_runs r on r.id = s.run_id
  where s.run_id = staging_set.run_id and s.state = 'staging' and r.status = 'running';
  if not found then
    raise object_not_in_prerequisite_state using message = format('run %s is not running', run_id);
  end if;
  return staged;
end
$$;
comment on function pm_strength.staging_set(bigint) is 'The set that a running run fills; raises if it is not running.';
revoke execute on function pm_strength.staging_set(bigint) from public, anon, authenticated;
grant execute on function pm_strength.staging_set(bigint) to service_role;

-- A row that is written by hand, through a view, goes to the live set of its module. Before the first run there is
-- no live set, so this makes one. The lock makes two writers take turns.
-- The numbers of such rows are in the upper half of those of a set, whichever set it is: a counter in its row would
-- make a version of that row for each of many rows that are written at once.
create sequence pm_strength.hand_rows maxvalue 33554431 cycle minvalue 0 start 0;
revoke all on sequence pm_strength.hand_rows from anon, authenticated;
grant usage on sequence pm_strength.hand_rows to service_role;

create function pm_strength.set_for_hand(module text, kind text) returns pm_strength.sets
language plpgsql
set search_path = ''
as $$
declare
  live pm_strength.sets := pm_strength.live_set(module, kind);
begin
  if live.id is null then
    insert into pm_strength.sets (module, kind, state) values (set_for_hand.module, set_for_hand.kind, 'live')
    on conflict do nothing;
    insert into pm_strength.live_times (set_id, module, role)
    select s.id, s.module, s.role from pm_strength.live_set(set_for_hand.module, set_for_hand.kind) s where s.kind = 'overrides'
    on conflict do nothing;
    live := pm_strength.live_set(module, kind);
  end if;
  perform from pm_strength.sets s where s.id = live.id for update;
  return live;
end
$$;
comment on function pm_strength.set_for_hand(text, text) is 'The live set of a module, locked, for a row written by hand.';
revoke execute on function pm_strength.set_for_hand(text, text) from public, anon, authenticated;
grant execute on function pm_strength.set_for_hand(text, text) to service_role;

-- Two pages may be staged at the same time; here they take turns. A page is there already if it was sent again after
-- a lost answer, maybe while the first call was still at work: then all that this call has done is undone by the
-- error, which its caller catches.
create function pm_strength.note_staged(target pm_strength.sets, rows int8range, added bigint) returns bigint
language plpgsql
set search_path = ''
as $$
declare
  count bigint;
begin
  update pm_strength.sets s
  set staged = s.staged + int8multirange(rows), row_count = s.row_count + added
  where s.id = target.id and s.state = 'staging' and not s.staged && rows
  returning s.row_count into count;
  if not found then
    raise exclusion_violation using message = format('rows %s of run %s are staged, or it has ended', rows, target.run_id);
  end if;
  return count;
end
$$;
comment on function pm_strength.note_staged(pm_strength.sets, int8range, bigint) is
  'Notes rows as staged, and how many were added; returns the number of rows. Raises exclusion_violation if they are already.';
revoke execute on function pm_strength.note_staged(pm_strength.sets, int8range, bigint) from public, anon, authenticated;
grant execute on function pm_strength.note_staged(pm_strength.sets, int8range, bigint) to service_role;

create function pm_strength.is_staged(set_id bigint, rows int8range) returns boolean
language sql stable
set search_path = ''
as $$
  select s.staged @> rows from pm_strength.sets s where s.id = set_id
$$;
comment on function pm_strength.is_staged(bigint, int8range) is 'Whether rows of a set were staged.';
revoke execute on function pm_strength.is_staged(bigint, int8range) from public, anon, authenticated;
grant execute on function pm_strength.is_staged(bigint, int8range) to service_role;
