-- pm_overrides: the live set of size multipliers, a view on all sets.

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

-- What an override is found by: the group of its set as 64 bits, which seed all others; each of its terms
-- (a dimension with its value, equal for 1 and 1.0) as 64 bits; and of those the two smallest, as 64 bits.
-- Two that differ may have the same bits: what is found is compared in full.
create function pm_strength.group_bits(set_id bigint, pattern_key text, action_category text) returns bigint
language sql immutable strict parallel safe
set search_path = ''
as $$
  select hashtextextended(action_category, hashtextextended(pattern_key, set_id))
$$;
comment on function pm_strength.group_bits(bigint, text, text) is 'A group of a set as 64 bits.';
revoke execute on function pm_strength.group_bits(bigint, text, text) from public, anon;
grant execute on function pm_strength.group_bits(bigint, text, text) to authenticated, service_role;

-- An override without dimensions is found by its group alone, one with one by its term.
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

-- Beyond these bounds a number is not the same to every reader of JSON, and would hold in one language and
-- not in another.
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

-- The bounds of numbers keep all that is resolved from them within a double, in any language
-- (overrides.cases.json).
create table pm_strength.override_sets (
  id bigint generated always as identity primary key,
  set_id bigint not null default pm_strength.live_set('overrides'),
  pattern_key text not null,
  action_category text not null,
  scope_subset jsonb not null,
  multiplier double precision not null,
  confidence_score double precision not null,
  decay_state text,
  run_id bigint,
  last_updated_at timestamptz not null default now(),
  dimensions integer generated always as (pm_strength.dimension_count(scope_subset)) stored,
  lead bigint not null generated always as (
    pm_strength.lead(set_id, pattern_key, action_category, scope_subset)
  ) stored,
  constraint override_sets_pattern check (pattern_key <> ''),
  constraint override_sets_category check (action_category in ('entry', 'add', 'trim', 'exit')),
  constraint override_sets_scope check (jsonb_typeof(scope_subset) = 'object'),
  constraint override_sets_dimensions check (dimensions <= 64),
  constraint override_sets_numbers check (
    not jsonb_path_exists(scope_subset, '$.* ? (@.type() == "number")') or pm_strength.only_doubles(scope_subset)
  ),
  constraint override_sets_multiplier check (multiplier = 0 or multiplier between 1e-6 and 1e6),
  constraint override_sets_confidence check (confidence_score = 0 or confidence_score between 1e-12 and 1),
  constraint override_sets_updated check (last_updated_at between '2000-01-01Z' and '9999-12-31Z')
);
comment on table pm_strength.override_sets is 'The overrides of every set: the live one, the one before, and those being staged.';
comment on column pm_strength.override_sets.set_id is 'The materialization that published, or is staging, the set.';
comment on column pm_strength.override_sets.lead is 'What it is found by (see pm_strength.lead).';

create unique index override_sets_key on pm_strength.override_sets (
  set_id, pattern_key, action_category,
  jsonb_hash_extended(scope_subset, 0), jsonb_hash_extended(scope_subset, 1)
);
create index override_sets_order on pm_strength.override_sets (set_id, id);
create index override_sets_lead on pm_strength.override_sets (lead);
-- When the rows that were written by hand, before the first materialization, were last changed.
create index override_sets_by_hand on pm_strength.override_sets (last_updated_at) where set_id = 0;
create index override_sets_scope on pm_strength.override_sets using gin (scope_subset jsonb_path_ops);

-- As lesson_sets.
alter table pm_strength.override_sets set (autovacuum_vacuum_scale_factor = 0.05);

alter table pm_strength.override_sets enable row level security;
revoke all on sequence pm_strength.override_sets_id_seq from anon, authenticated;
revoke all on pm_strength.override_sets from anon, authenticated;
grant select on pm_strength.override_sets to authenticated;
grant all on pm_strength.override_sets to service_role;
create policy override_sets_read on pm_strength.override_sets
  for select to authenticated using ((select pm_strength.may_read()));

create view public.pm_overrides with (security_invoker = true) as
select
  id, pattern_key, action_category, scope_subset, multiplier, confidence_score, decay_state,
  run_id, last_updated_at
from pm_strength.override_sets
where set_id = (select pm_strength.live_set('overrides'));
comment on view public.pm_overrides is
  'The size multipliers in force: those of the last complete materialization.';
comment on column public.pm_overrides.id is 'The override, within this materialization.';
comment on column public.pm_overrides.pattern_key is 'The pattern that it is for.';
comment on column public.pm_overrides.action_category is 'The action that it is for.';
comment on column public.pm_overrides.scope_subset is 'It holds in every scope that contains this.';
comment on column public.pm_overrides.multiplier is 'What the size is multiplied by; 1 is no change.';
comment on column public.pm_overrides.confidence_score is 'support_score * reliability_score of its lesson.';
comment on column public.pm_overrides.decay_state is 'insufficient, stable, decaying or growing.';
comment on column public.pm_overrides.run_id is 'The mining run that it comes from.';
comment on column public.pm_overrides.last_updated_at is 'When the row was written.';
revoke all on public.pm_overrides from anon, authenticated;
grant select on public.pm_overrides to authenticated;
grant all on public.pm_overrides to service_role;

create function public.pm_strength_stage_overrides(run_id bigint, overrides jsonb) returns bigint
language plpgsql
set search_path = ''
as $$
declare
  added bigint;
begin
  perform pm_strength.assert_running(run_id);
  insert into pm_strength.override_sets (
    set_id, run_id, pattern_key, action_category, scope_subset, multiplier, confidence_score, decay_state
  )
  select
    r.id, r.source_run_id, o.pattern_key, o.action_category, o.scope_subset, o.multiplier,
    o.confidence_score, o.decay_state
  from public.learning_runs r
  cross join jsonb_to_recordset(pm_strength_stage_overrides.overrides) o (
    pattern_key text, action_category text, scope_subset jsonb, multiplier double precision,
    confidence_score double precision, decay_state text
  )
  where r.id = pm_strength_stage_overrides.run_id
  on conflict do nothing;
  get diagnostics added = row_count;
  update pm_strength.staged_rows s set active = active + added
  where s.set_id = pm_strength_stage_overrides.run_id;
  return added;
end
$$;
comment on function public.pm_strength_stage_overrides(bigint, jsonb) is
  'Adds overrides to the set of a running materialization; returns how many were new.';
revoke execute on function public.pm_strength_stage_overrides(bigint, jsonb) from public, anon, authenticated;
grant execute on function public.pm_strength_stage_overrides(bigint, jsonb) to service_role;

-- A page of a set, for a resolver's own book. Without a set it starts at the live one; a set that
-- is no longer kept is said to be gone, and the reader starts again.
create function public.pm_strength_read_overrides(
  set_id bigint default null, after_id bigint default 0, page_size integer default 5000
) returns jsonb
language plpgsql stable
set search_path = ''
set jit = off
set enable_seqscan = off
set enable_bitmapscan = off
set enable_sort = off
as $$
declare
  live pm_strength.live_sets;
  wanted bigint;
begin
  perform pm_strength.require_reader();
  select * into strict live from pm_strength.live_sets s where s.kind = 'overrides';
  wanted := coalesce(pm_strength_read_overrides.set_id, live.set_id);
  if wanted not in (live.set_id, live.previous_set_id) then
    return jsonb_build_object('set_id', wanted, 'gone', true);
  end if;
  return jsonb_build_object(
    'set_id', wanted,
    'gone', false,
    'run_id', live.run_id,
    'as_of', coalesce(live.published_at, (
      select o.last_updated_at from pm_strength.override_sets o
      where o.set_id = 0 order by o.last_updated_at desc limit 1
    )),
    'now', clock_timestamp(),
    'settings', pm_strength.effective_settings('pm'),
    'overrides', (
      select coalesce(jsonb_agg(to_jsonb(page) order by page.id), '[]')
      from (
        select o.id, o.pattern_key, o.action_category, o.scope_subset, o.multiplier, o.confidence_score
        from pm_strength.override_sets o
        where o.set_id = wanted and o.id > pm_strength_read_overrides.after_id
        order by o.id
        limit least(pm_strength_read_overrides.page_size, 20000)
      ) page
    )
  );
end
$$;
comment on function public.pm_strength_read_overrides(bigint, bigint, integer) is
  'A page of the overrides with the run, its time and the settings; page_size 0 asks for those alone.';
revoke execute on function public.pm_strength_read_overrides(bigint, bigint, integer) from public, anon;
grant execute on function public.pm_strength_read_overrides(bigint, bigint, integer) to authenticated, service_role;
