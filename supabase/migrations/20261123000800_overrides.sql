-- pm_overrides: the live size multipliers of all modules, a view on the overrides of all sets.

create function pm_strength.dimension_count(scope_subset jsonb) returns integer
language sql immutable strict
set search_path = ''
as $$
  select count(*)::integer
  from jsonb_object_keys(case when jsonb_typeof(scope_subset) = 'object' then scope_subset else '{}' end)
$$;
comment on function pm_strength.dimension_count(jsonb) is 'How many dimensions a scope subset has.';
revoke execute on function pm_strength.dimension_count(jsonb) from public, anon, authenticated;
grant execute on function pm_strength.dimension_count(jsonb) to service_role;

-- An override is found by 64 bits, its lead: those of its set, of its group and of its two smallest terms, joined by
-- xor. A term is a hash of a dimension with its value (the same for 1 and 1.0). Different overrides may have the same
-- lead, so what is found is compared in full. The worker joins the bits by itself (`mining/leads.py`), from the hashes
-- of pm_strength_scope_bits.
create function pm_strength.set_bits(set_id bigint) returns bigint
language sql immutable strict parallel safe
set search_path = ''
as $$
  select hashint8extended(set_id, 0)
$$;
comment on function pm_strength.set_bits(bigint) is 'A set as 64 bits.';
revoke execute on function pm_strength.set_bits(bigint) from public, anon;
grant execute on function pm_strength.set_bits(bigint) to authenticated, service_role;

create function pm_strength.group_bits(pattern_key text, action_category text) returns bigint
language sql immutable strict parallel safe
set search_path = ''
as $$
  select hashtextextended(action_category, hashtextextended(pattern_key, 0))
$$;
comment on function pm_strength.group_bits(text, text) is 'A group as 64 bits.';
revoke execute on function pm_strength.group_bits(text, text) from public, anon;
grant execute on function pm_strength.group_bits(text, text) to authenticated, service_role;

-- The second term is rotated by 23 bits: without that two equal ones would leave nothing. ">>" keeps the sign.
create function pm_strength.lead(pattern_key text, action_category text, scope_subset jsonb)
returns bigint
language sql immutable strict parallel safe
set search_path = ''
as $$
  select pm_strength.group_bits(pattern_key, action_category)
    # coalesce(t.terms[1], 0)
    # coalesce((t.terms[2] << 23) | ((t.terms[2] >> 41) & 8388607), 0)
  from (
    select array_agg(b.term order by b.term) as terms
    from jsonb_each(case when jsonb_typeof(scope_subset) = 'object' then scope_subset else '{}' end) e
    cross join lateral (
      select jsonb_hash_extended(jsonb_build_object(e.key, e.value), 0) as term offset 0
    ) b
  ) t
$$;
comment on function pm_strength.lead(text, text, jsonb) is
  'The 64 bits by which an override is found, but for those of its set.';
revoke execute on function pm_strength.lead(text, text, jsonb) from public, anon, authenticated;
grant execute on function pm_strength.lead(text, text, jsonb) to service_role;

create function public.pm_strength_scope_bits(members jsonb, groups jsonb) returns json
language sql immutable strict
set search_path = ''
as $$
  select json_build_object(
    'members', (
      select coalesce(json_agg(jsonb_hash_extended(m.value, 0) order by m.place), '[]')
      from jsonb_array_elements(members) with ordinality m (value, place)
    ),
    'groups', (
      select coalesce(json_agg(pm_strength.group_bits(g.value ->> 0, g.value ->> 1) order by g.place), '[]')
      from jsonb_array_elements(groups) with ordinality g (value, place)
    )
  )
$$;
comment on function public.pm_strength_scope_bits(jsonb, jsonb) is
  'The terms of members, objects of one dimension, and the bits of groups [pattern_key, action_category]: {members, groups}.';
revoke execute on function public.pm_strength_scope_bits(jsonb, jsonb) from public, anon, authenticated;
grant execute on function public.pm_strength_scope_bits(jsonb, jsonb) to service_role;

-- A number beyond these bounds is not the same to every reader of JSON: the override would hold in one language
-- and not in another.
create function pm_strength.only_doubles(scope_subset jsonb) returns boolean
language sql immutable strict parallel safe
set search_path = ''
set extra_float_digits = 1
as $$
  select coalesce(bool_and(case
    when n.number = 0 then true
    when abs(n.number) between 5e-324 and 9007199254740992 then n.number::double precision::text::numeric = n.number
    else false
  end), true)
  from (
    select (e.value #>> '{}')::numeric as number
    from jsonb_each(case when jsonb_typeof(scope_subset) = 'object' then scope_subset else '{}' end) e
    where jsonb_typeof(e.value) = 'number'
    offset 0
  ) n
$$;
comment on function pm_strength.only_doubles(jsonb) is
  'Whether a double holds each number of a scope subset, whole ones up to 2^53.';
revoke execute on function pm_strength.only_doubles(jsonb) from public, anon, authenticated;
grant execute on function pm_strength.only_doubles(jsonb) to service_role;

-- The bounds keep all results of resolving within a double, in every language; `overrides.cases.json` holds
-- Python to the same.
create table pm_strength.overrides (
  -- its shelf, its set and its number there: see pm_strength.staging_set
  id bigint not null,
  lead bigint not null,
  multiplier double precision not null,
  confidence_score double precision not null,
  a_multiplier double precision,
  e_multiplier double precision,
  dimensions smallint not null,
  by_hand boolean not null default false,
  last_updated_at timestamptz,
  run_id bigint,
  pattern_key text not null,
  action_category text not null,
  decay_state text,
  scope_subset jsonb not null,
  stats jsonb,
  constraint overrides_pattern check (pattern_key <> ''),
  constraint overrides_category check (action_category in ('entry', 'add', 'trim', 'exit')),
  constraint overrides_scope check (jsonb_typeof(scope_subset) = 'object'),
  constraint overrides_dimensions check (dimensions <= 64),
  constraint overrides_numbers check (
    not jsonb_path_exists(scope_subset, '$.* ? (@.type() == "number")') or pm_strength.only_doubles(scope_subset)
  ),
  -- below 0 only as a term of a sum
  constraint overrides_multiplier check (multiplier = 0 or abs(multiplier) between 1e-6 and 1e6),
  constraint overrides_a_multiplier check (a_multiplier between 0.8 and 1.2),
  constraint overrides_e_multiplier check (e_multiplier between 0.8 and 1.2),
  constraint overrides_stats check (jsonb_typeof(stats) = 'object'),
  constraint overrides_confidence check (confidence_score = 0 or confidence_score between 1e-12 and 1),
  constraint overrides_updated check (last_updated_at between '2000-01-01Z' and '9999-12-31Z')
) partition by range (id);
comment on table pm_strength.overrides is 'The overrides of every set: those that are live, the ones before, and those being staged.';
comment on column pm_strength.overrides.last_updated_at is 'When it was written by hand; null for the time when its run began.';
comment on column pm_strength.overrides.run_id is 'The mining run that it comes from; null for that of its set.';
comment on column pm_strength.overrides.by_hand is 'Whether it was written through the view.';
comment on column pm_strength.overrides.lead is 'What it is found by: pm_strength.lead and the bits of its set.';

alter table pm_strength.overrides enable row level security;
revoke all on pm_strength.overrides from anon, authenticated;
grant select on pm_strength.overrides to authenticated;
grant all on pm_strength.overrides to service_role;
create policy overrides_read on pm_strength.overrides
  for select to authenticated using ((select pm_strength.may_read()));

create view public.pm_overrides with (security_invoker = true) as
select
  o.id, o.pattern_key, o.action_category, o.scope_subset, o.multiplier, o.confidence_score, o.decay_state,
  coalesce(o.run_id, s.mining_run_id) as run_id, coalesce(o.last_updated_at, s.created_at) as last_updated_at,
  s.module, o.a_multiplier, o.e_multiplier, o.stats
from pm_strength.overrides o
-- "offset 0" has the set looked up for each row, so that a page is read in the order of its ids
cross join lateral (
  select r.mining_run_id, r.created_at, r.module from pm_strength.sets r where r.id = (o.id >> 26) & 8388607 offset 0
) s
where array_position(array(
    select s.id from pm_strength.sets s where s.kind = 'overrides' and s.role = 'live' and s.state = 'live'
  ), (o.id >> 26) & 8388607) is not null
  -- The rows of other sets are not even looked at. As it is written, the planner takes these conditions for ones that
  -- leave many rows, and so reads a page in the order of its ids.
  and o.id >= (
    select min(s.first_id) from pm_strength.sets s where s.kind = 'overrides' and s.role = 'live' and s.state = 'live'
  )
  and (o.id, 0) < (
    (select max(s.first_id) + 67108864 from pm_strength.sets s where s.kind = 'overrides' and s.role = 'live' and s.state = 'live'),
    0
  );
comment on view public.pm_overrides is
  'The size multipliers in force: those of each module''s last complete materialization.';
comment on column public.pm_overrides.id is 'The override, within this materialization.';
comment on column public.pm_overrides.pattern_key is 'The pattern that it is for.';
comment on column public.pm_overrides.action_category is 'The action that it is for.';
comment on column public.pm_overrides.scope_subset is 'It holds in every scope that contains this.';
comment on column public.pm_overrides.multiplier is 'What the size is multiplied by; 1 is no change.';
comment on column public.pm_overrides.confidence_score is 'support_score * reliability_score of its lesson.';
comment on column public.pm_overrides.decay_state is 'insufficient, stable, decaying or growing.';
comment on column public.pm_overrides.run_id is 'The mining run that it comes from.';
comment on column public.pm_overrides.last_updated_at is 'When the row was written.';
comment on column public.pm_overrides.module is 'The module that it is for.';
comment on column public.pm_overrides.a_multiplier is 'What the A score is multiplied by, from 0.8 to 1.2; null unless ae_multipliers is set.';
comment on column public.pm_overrides.e_multiplier is 'What the E score is multiplied by, from 0.8 to 1.2; null unless ae_multipliers is set.';
comment on column public.pm_overrides.stats is 'The evidence for it: {evidence, n, n_effective, ...}; null in the source profile.';
revoke all on public.pm_overrides from anon, authenticated;
grant select on public.pm_overrides to authenticated;
grant all on public.pm_overrides to service_role;

create function pm_strength.write_override() returns trigger
language plpgsql
set search_path = ''
as $$
declare
  placed pm_strength.sets;
  bits bigint;
  written bigint := 0;
begin
  if tg_op = 'DELETE' then
    delete from pm_strength.overrides o where o.id = old.id;
    return old;
  end if;
  placed := pm_strength.set_for_hand(coalesce(new.module, 'pm'), 'overrides');
  bits := pm_strength.set_bits(placed.id)
    # pm_strength.lead(coalesce(new.pattern_key, ''), coalesce(new.action_category, ''), coalesce(new.scope_subset, '{}'));
  if tg_op = 'UPDATE' then
    written := old.id;
  end if;
  if exists (
    select from pm_strength.overrides_by_lead(placed.shelf, array[bits]) o
    where o.id >= placed.first_id and o.id < placed.first_id + 67108864 and o.id <> written
      and o.pattern_key = new.pattern_key and o.action_category = new.action_category
      and o.scope_subset = new.scope_subset
  ) then
    raise unique_violation using message = format(
      'there is an override of %s %s for %s already', new.pattern_key, new.action_category, new.scope_subset
    );
  end if;
  if tg_op = 'UPDATE' and new.module is not distinct from old.module then
    update pm_strength.overrides o
    set pattern_key = new.pattern_key, action_category = new.action_category, scope_subset = new.scope_subset,
      multiplier = new.multiplier, confidence_score = new.confidence_score, decay_state = new.decay_state,
      run_id = new.run_id, last_updated_at = new.last_updated_at, a_multiplier = new.a_multiplier,
      e_multiplier = new.e_multiplier, stats = new.stats, lead = bits,
      dimensions = pm_strength.dimension_count(new.scope_subset)
    where o.id = old.id;
    if placed.run_id is null and new.last_updated_at is distinct from old.last_updated_at then
      update pm_strength.sets s
      set hand_at = (
        select max(o.last_updated_at) from pm_strength.overrides o
        where o.by_hand and o.id >= placed.first_id and o.id < placed.first_id + 67108864
      )
      where s.id = placed.id;
    end if;
    return new;
  elsif tg_op = 'UPDATE' then
    delete from pm_strength.overrides o where o.id = old.id;
  end if;
  insert into pm_strength.overrides (
    id, by_hand, run_id, last_updated_at, pattern_key, action_category, scope_subset, multiplier,
    confidence_score, decay_state, a_multiplier, e_multiplier, stats, lead, dimensions
  )
  values (
    placed.first_id + 33554432 + nextval('pm_strength.hand_rows'), true, new.run_id,
    coalesce(new.last_updated_at, now()), new.pattern_key, new.action_category, new.scope_subset, new.multiplier, new.confidence_score, new.decay_state, new.a_multiplier,
    new.e_multiplier, new.stats, bits, pm_strength.dimension_count(new.scope_subset)
  )
  returning id, last_updated_at into new.id, new.last_updated_at;
  new.module := placed.module;
  -- a set that is written by hand, before the first materialization, is as old as the newest of its rows
  update pm_strength.sets s set hand_at = new.last_updated_at
  where s.id = placed.id and (s.hand_at is null or s.hand_at < new.last_updated_at);
  return new;
end
$$;
comment on function pm_strength.write_override() is
  'Puts an override that is written by hand into the live set of its module.';
revoke execute on function pm_strength.write_override() from public, anon, authenticated;
grant execute on function pm_strength.write_override() to service_role;
create trigger write_override instead of insert or update or delete on public.pm_overrides
for each row execute function pm_strength.write_override();

-- Overrides of another profile are of another kind: a term of a sum is not a part of a mean.
create function pm_strength.limiting_set(target pm_strength.sets) returns bigint
language sql stable
set search_path = ''
as $$
  select s.id from pm_strength.sets s
  where s.id = target.previous_set_id and s.profile = target.profile and s.state in ('live', 'kept')
$$;
comment on function pm_strength.limiting_set(pm_strength.sets) is
  'The set from which the changes of a set of overrides are limited; null if there is none.';
revoke execute on function pm_strength.limiting_set(pm_strength.sets) from public, anon, authenticated;
grant execute on function pm_strength.limiting_set(pm_strength.sets) to service_role;

-- Makes the overrides of the lessons of a set with the numbers first to first + page_size - 1, as
-- materialize_overrides in Python defines them; a test holds the two together. Two calls may be under way, and asking
-- again after a lost answer makes nothing twice. The share lock keeps the lessons from being removed. If they are
-- removed already there is nothing to look at, and publishing tells that the run is outdated.
create function public.pm_strength_stage_overrides(run_id bigint, first bigint, page_size integer) returns jsonb
language plpgsql
set search_path = ''
set jit = off
set enable_seqscan = off
set enable_bitmapscan = off
set enable_sort = off
as $$
declare
  target constant pm_strength.sets := pm_strength.staging_set(run_id);
  of_set constant bigint := pm_strength.set_bits(target.id);
  settings constant jsonb := pm_strength.default_settings() || target.settings;
  threshold constant double precision := (settings ->> 'edge_threshold')::double precision;
  lowest constant double precision := (settings ->> 'multiplier_min')::double precision;
  highest constant double precision := least((settings ->> 'multiplier_max')::double precision, 1e6);
  max_change constant double precision := (settings ->> 'max_change')::double precision;
  scored constant boolean := (settings ->> 'ae_multipliers')::boolean;
  gain constant double precision := (settings ->> 'gain')::double precision;
  previous pm_strength.sets;
  of_previous bigint;
  base pm_strength.sets;
  rows constant int8range := int8range(first, least(first + page_size, greatest(target.expects, first)));
  looked_at integer;
  added integer;
begin
  if target.staged @> rows then
    return jsonb_build_object('looked_at', 0, 'overrides', target.row_count, 'to', coalesce(upper(rows), first));
  end if;
  select s.* into base from pm_strength.sets s
  where s.id = target.base_set_id and s.state in ('live', 'kept')
  for share;
  select s.* into previous from pm_strength.sets s where s.id = pm_strength.limiting_set(target);
  of_previous := pm_strength.set_bits(previous.id);

  with page as materialized (
    select l.id, l.pattern_key, l.action_category, l.scope_subset, l.status, l.lesson_type, l.n, l.lead, l.dimensions,
      l.edge_raw, l.support_score, l.reliability_score, l.decay_state, l.n_effective, l.a_score, l.e_score,
      l.own_stats as stats
    from pm_strength.described_lessons l
    where l.id >= base.first_id + lower(rows) and l.id < base.first_id + upper(rows)
    union all
    -- with the first of the others those that are written by hand
    select l.id, l.pattern_key, l.action_category, l.scope_subset, l.status, l.lesson_type, l.n, l.lead, l.dimensions,
      l.edge_raw, l.support_score, l.reliability_score, l.decay_state, l.n_effective, l.a_score, l.e_score,
      l.own_stats as stats
    from pm_strength.described_lessons l
    where first = 0 and l.id >= base.first_id + 33554432 and l.id < base.first_id + 67108864
  ), active as (
    select a.*, gain * (a.stats ->> 'effect')::double precision as move
    from page a
    where a.status = 'active' and a.lesson_type = 'pm_strength'
    offset 0
  ), chosen as (
    select p.*,
      greatest(lowest, least(highest, 1 + p.edge_raw)) as multiplier,
      p.support_score as support, p.reliability_score as reliability, null::jsonb as evidence
    from active p
    where target.profile = 'source' and abs(p.edge_raw) >= threshold
    union all
    select p.*, greatest(-1e6, least(1e6, 1 + p.move)), least(1, (p.stats ->> 'probability')::double precision), 1,
      jsonb_build_object(
        'evidence', p.stats -> 'evidence', 'edge', p.stats -> 'edge', 'n', p.n,
        'n_effective', p.n_effective, 'contribution', p.stats -> 'contribution',
        'contribution_low', p.stats -> 'contribution_low', 'contribution_high', p.stats -> 'contribution_high',
        'drift', p.stats -> 'drift', 'claimed', p.stats -> 'claimed', 'claimed_at', p.stats -> 'claimed_at'
      )
    from active p
    where target.profile = 'guarded' and abs(p.move) >= 0.01
  ), made as (
    insert into pm_strength.overrides (
      id, pattern_key, action_category, scope_subset, multiplier, confidence_score,
      decay_state, stats, a_multiplier, e_multiplier, lead, dimensions
    )
    select
      -- each has the number of its lesson
      target.first_id - base.first_id + l.id, l.pattern_key, l.action_category, l.scope_subset,
      case when abs(l.limited) >= 1e-6 then l.limited else 0 end,
      -- below 1e-150 the product could leave a double, which Postgres refuses
      case
        when l.support < 1e-150 or l.reliability < 1e-150 then 0
        when l.support * l.reliability >= 1e-12 then l.support * l.reliability
        else 0
      end,
      l.decay_state,
      l.evidence,
      -- a score that is not known makes none: least() would take null for nothing
      case when scored and l.a_score is not null then greatest(0.8, least(1.2, 1 + l.a_score)) end,
      case when scored and l.e_score is not null then greatest(0.8, least(1.2, 1 + l.e_score)) end,
      of_set # l.lead_bits, coalesce(l.dimensions, pm_strength.dimension_count(l.scope_subset))
    from (
      select c.*, b.lead_bits,
        case
          when max_change is null then c.multiplier
          else greatest(before.multiplier - max_change, least(before.multiplier + max_change, c.multiplier))
        end as limited
      from chosen c
      cross join lateral (
        select coalesce(c.lead, pm_strength.lead(c.pattern_key, c.action_category, c.scope_subset)) as lead_bits offset 0
      ) b
      cross join lateral (
        -- one that is new starts from 1
        select case when max_change is not null then coalesce((
          select o.multiplier
          from pm_strength.overrides_by_lead(previous.shelf, array[of_previous # b.lead_bits]) o
          where o.id >= previous.first_id and o.id < previous.first_id + 67108864
            and o.pattern_key = c.pattern_key and o.action_category = c.action_category
            and o.scope_subset = c.scope_subset
        ), 1) end as multiplier
        offset 0
      ) before
    ) l
    returning true
  )
  select count(*), (select count(*) from made) into looked_at, added from page;
  return jsonb_build_object(
    'looked_at', looked_at, 'overrides', pm_strength.note_staged(target, rows, added), 'to', upper(rows)
  );
exception
  when exclusion_violation then
    if pm_strength.is_staged(target.id, rows) then
      return jsonb_build_object('looked_at', 0, 'overrides', target.row_count, 'to', upper(rows));
    end if;
    raise;
end
$$;
comment on function public.pm_strength_stage_overrides(bigint, bigint, integer) is
  'Makes the overrides of page_size lessons from number first on: {looked_at, overrides, to}: the overrides of the set so far, and the number of the lesson that follows.';
revoke execute on function public.pm_strength_stage_overrides(bigint, bigint, integer) from public, anon, authenticated;
grant execute on function public.pm_strength_stage_overrides(bigint, bigint, integer) to service_role;

-- With max_change an override that is no longer made goes towards 1 step by step, and not at once. Asking again
-- after a lost answer adds nothing twice.
create function public.pm_strength_stage_leaving(run_id bigint, after_id bigint, page_size integer)
returns bigint
language plpgsql
set search_path = ''
set jit = off
set enable_seqscan = off
set enable_bitmapscan = off
set enable_sort = off
set enable_hashjoin = off
set enable_mergejoin = off
as $$
declare
  target pm_strength.sets := pm_strength.staging_set(run_id);
  max_change constant double precision := (target.settings ->> 'max_change')::double precision;
  bits constant bigint := pm_strength.set_bits(target.id);
  previous pm_strength.sets;
  looked_to bigint;
  added integer;
begin
  -- a call that is made again waits for the first one
  select s.* into target from pm_strength.sets s where s.id = target.id for update;
  select s.* into previous from pm_strength.sets s where s.id = pm_strength.limiting_set(target);
  if max_change is null or previous.id is null then
    return null;
  end if;
  with page as materialized (
    select o.*, bits # pm_strength.set_bits(previous.id) # o.lead as lead_here from pm_strength.overrides o
    where o.id > greatest(pm_strength_stage_leaving.after_id, previous.first_id - 1)
      and o.id < previous.first_id + 67108864
    order by o.id
    limit least(page_size, 20000)
  ), left_over as (
    insert into pm_strength.overrides (
      id, run_id, pattern_key, action_category, scope_subset, multiplier, confidence_score,
      decay_state, stats, a_multiplier, e_multiplier, lead, dimensions
    )
    select
      target.first_id + target.next_row - 1 + row_number() over (order by p.id),
      coalesce(p.run_id, previous.mining_run_id), p.pattern_key, p.action_category, p.scope_subset,
      p.multiplier - sign(p.multiplier - 1) * max_change, p.confidence_score, p.decay_state,
      coalesce(p.stats, '{}') || '{"leaving": true}', p.a_multiplier, p.e_multiplier, p.lead_here, p.dimensions
    from page p
    where not p.by_hand and abs(p.multiplier - 1) > max_change
      and not exists (
        select from pm_strength.overrides_by_lead(target.shelf, array[p.lead_here]) m
        where m.id >= target.first_id and m.id < target.first_id + 67108864
          and m.pattern_key = p.pattern_key and m.action_category = p.action_category
          and m.scope_subset = p.scope_subset
      )
    returning true
  )
  select max(p.id), (select count(*) from left_over) into looked_to, added from page p;
  update pm_strength.sets s set row_count = s.row_count + added, next_row = s.next_row + added where s.id = target.id;
  return looked_to;
end
$$;
comment on function public.pm_strength_stage_leaving(bigint, bigint, integer) is
  'With max_change: carries a page of live overrides that a run did not make over, nearer to 1; returns the last id seen.';
revoke execute on function public.pm_strength_stage_leaving(bigint, bigint, integer) from public, anon, authenticated;
grant execute on function public.pm_strength_stage_leaving(bigint, bigint, integer) to service_role;
