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

-- An override is found by 64 bits, its lead. They are a hash of its two smallest terms; a term is a hash of a
-- dimension with its value (the same for 1 and 1.0), seeded with the hash of set and group. Different overrides
-- may have the same lead, so what is found is compared in full.
create function pm_strength.group_bits(set_id bigint, pattern_key text, action_category text) returns bigint
language sql immutable strict parallel safe
set search_path = ''
as $$
  select hashtextextended(action_category, hashtextextended(pattern_key, set_id))
$$;
comment on function pm_strength.group_bits(bigint, text, text) is 'A group of a set as 64 bits.';
revoke execute on function pm_strength.group_bits(bigint, text, text) from public, anon;
grant execute on function pm_strength.group_bits(bigint, text, text) to authenticated, service_role;

-- Without dimensions the lead is the hash of the group, with one dimension its term.
create function pm_strength.lead(set_id bigint, pattern_key text, action_category text, scope_subset jsonb)
returns bigint
language sql immutable strict parallel safe
set search_path = ''
as $$
  select coalesce(hashint8extended(t.terms[2], t.terms[1]), t.terms[1], g.bits)
  from (select pm_strength.group_bits(set_id, pattern_key, action_category) as bits offset 0) g
  cross join lateral (
    select array_agg(b.term order by b.term) as terms
    from jsonb_each(case when jsonb_typeof(scope_subset) = 'object' then scope_subset else '{}' end) e
    cross join lateral (
      select jsonb_hash_extended(jsonb_build_object(e.key, e.value), g.bits) as term offset 0
    ) b
  ) t
$$;
comment on function pm_strength.lead(bigint, text, text, jsonb) is
  'The 64 bits by which an override of a set is found.';
revoke execute on function pm_strength.lead(bigint, text, text, jsonb) from public, anon, authenticated;
grant execute on function pm_strength.lead(bigint, text, text, jsonb) to service_role;

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
  id bigint generated always as identity primary key,
  -- no foreign key: it would look the set up for each of a million rows
  set_id bigint not null,
  module text not null default 'pm',
  pattern_key text not null,
  action_category text not null,
  scope_subset jsonb not null,
  multiplier double precision not null,
  confidence_score double precision not null,
  decay_state text,
  a_multiplier double precision,
  e_multiplier double precision,
  stats jsonb,
  run_id bigint,
  last_updated_at timestamptz not null default now(),
  by_hand boolean not null default false,
  dimensions integer generated always as (pm_strength.dimension_count(scope_subset)) stored,
  lead bigint not null generated always as (
    pm_strength.lead(set_id, pattern_key, action_category, scope_subset)
  ) stored,
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
);
comment on table pm_strength.overrides is 'The overrides of every set: those that are live, the ones before, and those being staged.';
comment on column pm_strength.overrides.set_id is 'The set that the override is in.';
comment on column pm_strength.overrides.by_hand is 'Whether it was written through the view.';
comment on column pm_strength.overrides.lead is 'What it is found by (see pm_strength.lead).';

create unique index overrides_key on pm_strength.overrides (
  set_id, pattern_key, action_category,
  jsonb_hash_extended(scope_subset, 0), jsonb_hash_extended(scope_subset, 1)
);
create index overrides_order on pm_strength.overrides (set_id, id);
-- As for lessons.
create index overrides_module on pm_strength.overrides (module, id);
create index overrides_lead on pm_strength.overrides (lead);
-- A set that was written by hand, before the first materialization, is as old as the newest of its rows.
create index overrides_by_hand on pm_strength.overrides (set_id, last_updated_at) where by_hand;
create index overrides_scope on pm_strength.overrides using gin (scope_subset jsonb_path_ops);

create trigger place_by_hand before insert on pm_strength.overrides
for each row when (new.set_id is null) execute function pm_strength.place_by_hand('overrides');
create trigger move_by_hand before update of module on pm_strength.overrides
for each row when (new.module <> old.module) execute function pm_strength.place_by_hand('overrides');

-- As for lessons.
alter table pm_strength.overrides set (autovacuum_vacuum_scale_factor = 0.05);

alter table pm_strength.overrides enable row level security;
revoke all on sequence pm_strength.overrides_id_seq from anon, authenticated;
revoke all on pm_strength.overrides from anon, authenticated;
grant select on pm_strength.overrides to authenticated;
grant all on pm_strength.overrides to service_role;
create policy overrides_read on pm_strength.overrides
  for select to authenticated using ((select pm_strength.may_read()));

create view public.pm_overrides with (security_invoker = true) as
select
  id, pattern_key, action_category, scope_subset, multiplier, confidence_score, decay_state,
  run_id, last_updated_at, module, a_multiplier, e_multiplier, stats
from pm_strength.overrides
where set_id = any (array(
  select s.id from pm_strength.sets s where s.kind = 'overrides' and s.role = 'live' and s.state = 'live'
));
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

-- Makes the overrides of the next page of lessons, as materialize_overrides in Python defines them; a test
-- holds the two together. The set itself says how far it is, so asking again after a lost answer skips
-- nothing and makes nothing twice. The share lock keeps the lessons from being removed. If they are removed
-- already there is nothing to look at, and publishing tells that the run is outdated.
create function public.pm_strength_stage_overrides(run_id bigint, page_size integer) returns jsonb
language plpgsql
set search_path = ''
set jit = off
set enable_seqscan = off
set enable_bitmapscan = off
set enable_sort = off
as $$
declare
  target constant pm_strength.sets := pm_strength.staging_set(run_id);
  settings constant jsonb := pm_strength.default_settings() || target.settings;
  threshold constant double precision := (settings ->> 'edge_threshold')::double precision;
  lowest constant double precision := (settings ->> 'multiplier_min')::double precision;
  highest constant double precision := least((settings ->> 'multiplier_max')::double precision, 1e6);
  max_change constant double precision := (settings ->> 'max_change')::double precision;
  previous constant bigint := pm_strength.limiting_set(target);
  scored constant boolean := (settings ->> 'ae_multipliers')::boolean;
  gain constant double precision := (settings ->> 'gain')::double precision;
  base pm_strength.sets;
  last_id bigint;
  looked_at integer;
  added integer;
begin
  select s.* into base from pm_strength.sets s
  where s.id = target.base_set_id and s.state in ('live', 'kept')
  for share;

  with page as materialized (
    select l.* from pm_strength.lessons l
    where l.set_id = base.id and l.id > target.staged_to
    order by l.id
    limit least(page_size, 20000)
  ), active as (
    select a.*,
      (a.stats ->> 'edge_raw')::double precision as edge_raw,
      gain * (a.stats ->> 'effect')::double precision as move,
      (a.stats ->> 'a_score')::double precision as a_score,
      (a.stats ->> 'e_score')::double precision as e_score
    from page a
    where a.status = 'active' and a.lesson_type = 'pm_strength'
    offset 0
  ), chosen as (
    select p.*,
      greatest(lowest, least(highest, 1 + p.edge_raw)) as multiplier,
      (p.stats ->> 'support_score')::double precision as support,
      (p.stats ->> 'reliability_score')::double precision as reliability,
      null::jsonb as evidence
    from active p
    where target.profile = 'source' and abs(p.edge_raw) >= threshold
    union all
    select p.*, greatest(-1e6, least(1e6, 1 + p.move)), least(1, (p.stats ->> 'probability')::double precision), 1,
      jsonb_build_object(
        'evidence', p.stats -> 'evidence', 'edge', p.stats -> 'edge', 'n', p.n,
        'n_effective', p.stats -> 'n_effective', 'contribution', p.stats -> 'contribution',
        'contribution_low', p.stats -> 'contribution_low', 'contribution_high', p.stats -> 'contribution_high',
        'drift', p.stats -> 'drift', 'claimed', p.stats -> 'claimed', 'claimed_at', p.stats -> 'claimed_at'
      )
    from active p
    where target.profile = 'guarded' and abs(p.move) >= 0.01
  ), made as (
    insert into pm_strength.overrides (
      set_id, module, run_id, pattern_key, action_category, scope_subset, multiplier, confidence_score,
      decay_state, stats, a_multiplier, e_multiplier
    )
    select
      target.id, target.module, target.mining_run_id, l.pattern_key, l.action_category, l.scope_subset,
      case when abs(l.limited) >= 1e-6 then l.limited else 0 end,
      -- below 1e-150 the product could leave a double, which Postgres refuses
      case
        when l.support < 1e-150 or l.reliability < 1e-150 then 0
        when l.support * l.reliability >= 1e-12 then l.support * l.reliability
        else 0
      end,
      l.stats -> 'decay_meta' ->> 'state',
      l.evidence,
      -- a score that is not known makes none: least() would take null for nothing
      case when scored and l.a_score is not null then greatest(0.8, least(1.2, 1 + l.a_score)) end,
      case when scored and l.e_score is not null then greatest(0.8, least(1.2, 1 + l.e_score)) end
    from (
      select c.*,
        case
          when max_change is null then c.multiplier
          else greatest(before.multiplier - max_change, least(before.multiplier + max_change, c.multiplier))
        end as limited
      from chosen c
      cross join lateral (
        -- one that is new starts from 1
        select case when max_change is not null then coalesce((
          select o.multiplier from pm_strength.overrides o
          where o.set_id = previous and o.pattern_key = c.pattern_key and o.action_category = c.action_category
            and jsonb_hash_extended(o.scope_subset, 0) = jsonb_hash_extended(c.scope_subset, 0)
            and jsonb_hash_extended(o.scope_subset, 1) = jsonb_hash_extended(c.scope_subset, 1)
        ), 1) end as multiplier
        offset 0
      ) before
    ) l
    order by l.id
    returning true
  )
  select max(p.id), count(*), (select count(*) from made) into last_id, looked_at, added from page p;

  update pm_strength.sets s
  set staged_to = coalesce(last_id, s.staged_to), row_count = s.row_count + added
  where s.id = target.id;
  return jsonb_build_object(
    'looked_at', looked_at, 'lessons', coalesce(base.row_count, 0), 'overrides', target.row_count + added
  );
end
$$;
comment on function public.pm_strength_stage_overrides(bigint, integer) is
  'Makes the overrides of the next page_size lessons: {looked_at, lessons, overrides}; all are made when looked_at is 0.';
revoke execute on function public.pm_strength_stage_overrides(bigint, integer) from public, anon, authenticated;
grant execute on function public.pm_strength_stage_overrides(bigint, integer) to service_role;

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
  target constant pm_strength.sets := pm_strength.staging_set(run_id);
  max_change constant double precision := (target.settings ->> 'max_change')::double precision;
  previous constant bigint := pm_strength.limiting_set(target);
  last_id bigint;
  added integer;
begin
  if max_change is null or previous is null then
    return null;
  end if;
  with page as materialized (
    select o.* from pm_strength.overrides o
    where o.set_id = previous and o.id > pm_strength_stage_leaving.after_id
    order by o.id
    limit least(page_size, 20000)
  ), left_over as (
    insert into pm_strength.overrides (
      set_id, module, run_id, pattern_key, action_category, scope_subset, multiplier, confidence_score,
      decay_state, stats, a_multiplier, e_multiplier
    )
    select
      target.id, target.module, p.run_id, p.pattern_key, p.action_category, p.scope_subset,
      p.multiplier - sign(p.multiplier - 1) * max_change, p.confidence_score, p.decay_state,
      coalesce(p.stats, '{}') || '{"leaving": true}', p.a_multiplier, p.e_multiplier
    from page p
    where not p.by_hand and abs(p.multiplier - 1) > max_change
    order by p.id
    on conflict do nothing
    returning true
  )
  select max(p.id), (select count(*) from left_over) into last_id, added from page p;
  update pm_strength.sets s set row_count = s.row_count + added where s.id = target.id;
  return last_id;
end
$$;
comment on function public.pm_strength_stage_leaving(bigint, bigint, integer) is
  'With max_change: carries a page of live overrides that a run did not make over, nearer to 1; returns the last id seen.';
revoke execute on function public.pm_strength_stage_leaving(bigint, bigint, integer) from public, anon, authenticated;
grant execute on function public.pm_strength_stage_leaving(bigint, bigint, integer) to service_role;
