-- learning_lessons: the live lessons of all modules, a view on the lessons of all sets.

-- Two numbers a run, which stay for as long as a lesson of it may: a retired one outlives its run.
create table pm_strength.run_constants (
  run_id bigint primary key,
  baseline double precision not null,
  var_prior double precision not null
);
comment on table pm_strength.run_constants is 'What the statistics of a mining run''s lessons depend on, besides themselves.';
comment on column pm_strength.run_constants.run_id is 'The run.';
comment on column pm_strength.run_constants.baseline is 'The mean outcome over all events of the run.';
comment on column pm_strength.run_constants.var_prior is 'The setting of the run that the reliability goes by.';
alter table pm_strength.run_constants enable row level security;
revoke all on pm_strength.run_constants from anon, authenticated;
grant select on pm_strength.run_constants to authenticated;
grant all on pm_strength.run_constants to service_role;
create policy run_constants_read on pm_strength.run_constants
  for select to authenticated using ((select pm_strength.may_read()));

-- A lesson of a run is a narrow row: what only the worker can tell. The rest follows from it and from the run
-- (described_lessons). One that is written by hand has all its statistics in `stats`, and no lead.
-- Each of the larger sets has a partition of its own, a shelf, which is emptied at once.
create table pm_strength.lessons (
  -- its shelf, its set and its number there: see pm_strength.staging_set
  id bigint not null,
  lead bigint,
  updated_at timestamptz,
  avg_rr double precision,
  variance double precision,
  edge_raw double precision,
  slope_per_hour double precision,
  slope_p_value double precision,
  design_effect double precision,
  own_design double precision,
  bayes_factor double precision,
  p_value double precision,
  avg_rr_half double precision,
  trimmed_rate double precision,
  reached_s3_rate double precision,
  a_score double precision,
  e_score double precision,
  run_id bigint,
  decay_halflife_hours double precision,
  n integer not null,
  trimmed_n integer,
  reached_s3_n integer,
  dimensions smallint,
  decay_state smallint,
  retired boolean not null default false,
  by_hand boolean not null default false,
  pattern_key text not null,
  action_category text not null,
  scope_subset jsonb not null,
  lesson_type text,
  stats jsonb,
  constraint lessons_category check (action_category in ('entry', 'add', 'trim', 'exit')),
  constraint lessons_scope check (jsonb_typeof(scope_subset) = 'object'),
  constraint lessons_decay check (decay_state between 0 and 3),
  constraint lessons_told check (lead is not null or stats is not null)
) partition by range (id);
comment on table pm_strength.lessons is 'The lessons of every set: those that are live, the ones before, and those being staged.';
comment on column pm_strength.lessons.updated_at is 'When it was written by hand, or retired; null for the time when its run began.';
comment on column pm_strength.lessons.lead is 'What its override is found by, but for the set (see pm_strength.lead); null if all statistics are in stats.';
comment on column pm_strength.lessons.own_design is 'How much larger the variance of its mean is because its trades share time.';
comment on column pm_strength.lessons.avg_rr_half is 'Half of the width of the interval of avg_rr.';
comment on column pm_strength.lessons.trimmed_n is 'Trades of which it is known whether they were trimmed; null if of all.';
comment on column pm_strength.lessons.reached_s3_n is 'Trades of which it is known whether they reached S3; null if of all.';
comment on column pm_strength.lessons.decay_state is '0 insufficient, 1 stable, 2 decaying, 3 growing.';
comment on column pm_strength.lessons.by_hand is 'Whether it was written through the view.';
comment on column pm_strength.lessons.run_id is 'The mining run that computed the statistics; null if that of its set did.';
comment on column pm_strength.lessons.stats is 'All statistics, or what the profile adds to those in columns.';

alter table pm_strength.lessons enable row level security;
revoke all on pm_strength.lessons from anon, authenticated;
grant select on pm_strength.lessons to authenticated;
grant all on pm_strength.lessons to service_role;
create policy lessons_read on pm_strength.lessons
  for select to authenticated using ((select pm_strength.may_read()));

-- All statistics of each lesson, by the formulas of contract section 2: `mining/edge.py`, `mining/decay.py` and
-- `mining/evidence` define them, and a test holds the two together. least() and the cases keep the results within
-- a double, as Postgres refuses those that are not. With sinh the support is exact for few trades too.
create view pm_strength.described_lessons with (security_invoker = true) as
select
  l.id, s.module, l.pattern_key, l.action_category, l.scope_subset,
  coalesce(l.lesson_type, 'pm_strength') as lesson_type, l.n,
  case when l.lead is null then l.stats else
    jsonb_build_object(
      'n', l.n, 'avg_rr', l.avg_rr, 'variance', l.variance,
      'delta_rr', case when abs(l.avg_rr) < 8.9e307 and abs(s.baseline) < 8.9e307 then l.avg_rr - s.baseline end,
      'reliability_score', e.reliability_score, 'support_score', e.support_score,
      'magnitude_score', case when l.avg_rr < -709.78 then 0 else 1 / (1 + exp(-least(l.avg_rr, 700))) end,
      'time_score', 1.0::double precision,
      'stability_score', case when l.variance is null then 0 else 1 / (1 + least(l.variance, 8.9e307)) end,
      'edge_raw', l.edge_raw,
      'decay_meta', jsonb_build_object(
        'state', e.decay_state,
        'multiplier', case l.decay_state
          when 2 then 0.5 + 0.5 * least(1, e.hours / 168)
          when 3 then 1.5 - 0.5 * least(1, e.hours / 168)
          else 1
        end,
        'half_life_hours', case l.decay_state when 2 then e.hours end,
        'doubling_hours', case l.decay_state when 3 then e.hours end,
        'slope_per_hour', l.slope_per_hour, 'p_value', l.slope_p_value
      )
    ) || jsonb_build_object(
      'n_effective', e.n_effective, 'design_effect', l.design_effect,
      'bayes_factor', l.bayes_factor, 'p_value', l.p_value,
      'avg_rr_low', l.avg_rr - l.avg_rr_half, 'avg_rr_high', l.avg_rr + l.avg_rr_half,
      'trimmed_rate', l.trimmed_rate,
      'trimmed_low', t.centre - t.half, 'trimmed_high', t.centre + t.half,
      'reached_s3_rate', l.reached_s3_rate,
      'reached_s3_low', r.centre - r.half, 'reached_s3_high', r.centre + r.half,
      'a_score', l.a_score, 'e_score', l.e_score
    ) || coalesce(l.stats, '{}')
  end as stats,
  case
    when l.lead is not null and l.decay_state = 2 then e.hours
    else l.decay_halflife_hours
  end as decay_halflife_hours,
  case when l.retired then 'retired' else 'active' end as status,
  coalesce(l.run_id, s.mining_run_id) as run_id, coalesce(l.updated_at, s.created_at) as updated_at,
  -- what overrides are made of
  l.lead, l.dimensions, l.stats as own_stats,
  case when l.lead is null then (l.stats ->> 'edge_raw')::double precision else l.edge_raw end as edge_raw,
  case when l.lead is null then (l.stats ->> 'support_score')::double precision else e.support_score end as support_score,
  case when l.lead is null then (l.stats ->> 'reliability_score')::double precision else e.reliability_score end
    as reliability_score,
  case when l.lead is null then l.stats -> 'decay_meta' ->> 'state' else e.decay_state end as decay_state,
  case when l.lead is null then l.stats -> 'n_effective' else to_jsonb(e.n_effective) end as n_effective,
  case when l.lead is null then (l.stats ->> 'a_score')::double precision else l.a_score end as a_score,
  case when l.lead is null then (l.stats ->> 'e_score')::double precision else l.e_score end as e_score
from pm_strength.lessons l
-- "offset 0" has the set looked up for each row, so that a page is read in the order of its ids
cross join lateral (
  select r.module, r.mining_run_id, r.created_at, c.baseline, c.var_prior
  from pm_strength.sets r
  left join pm_strength.run_constants c on c.run_id = coalesce(l.run_id, r.mining_run_id)
  where r.id = (l.id >> 26) & 8388607
  offset 0
) s
cross join lateral (
  select
    -- a variance that is null is beyond all doubles
    case
      when l.variance is null then 0
      else 1 / (1 + least(l.variance, 8.9e307) + least(s.var_prior / l.n, 8.9e307))
    end as reliability_score,
    -- from there on it is 1 to the last bit
    case when l.n > 1900 then 1 else 2 * sinh(l.n / 100.0::double precision) * exp(-l.n / 100.0::double precision) end
      as support_score,
    (array['insufficient', 'stable', 'decaying', 'growing'])[l.decay_state + 1] as decay_state,
    -- ln 2 * |delta| / |slope|, from 1 to 8760
    case
      when l.decay_state < 2 then null
      when 0.6931471805599453 * d.delta >= 8760 * d.slope then 8760
      when 0.6931471805599453 * d.delta <= d.slope then 1
      else 0.6931471805599453 * d.delta / d.slope
    end as hours,
    l.n / l.design_effect as n_effective
  from (
    select
      case when abs(l.avg_rr) < 8.9e307 and abs(s.baseline) < 8.9e307 then abs(l.avg_rr - s.baseline) end as delta,
      least(coalesce(abs(l.slope_per_hour), 1e300), 1e300) as slope
  ) d
) e
cross join lateral (
  select (l.trimmed_rate + 3.8414588206941236 / (2 * k.n)) / (1 + 3.8414588206941236 / k.n) as centre,
    1.959963984540054 / (1 + 3.8414588206941236 / k.n)
      * sqrt(l.trimmed_rate * (1 - l.trimmed_rate) / k.n + 3.8414588206941236 / (4 * k.n * k.n)) as half
  from (select nullif(coalesce(l.trimmed_n, l.n), 0) / l.own_design as n) k
) t
cross join lateral (
  select (l.reached_s3_rate + 3.8414588206941236 / (2 * k.n)) / (1 + 3.8414588206941236 / k.n) as centre,
    1.959963984540054 / (1 + 3.8414588206941236 / k.n)
      * sqrt(l.reached_s3_rate * (1 - l.reached_s3_rate) / k.n + 3.8414588206941236 / (4 * k.n * k.n)) as half
  from (select nullif(coalesce(l.reached_s3_n, l.n), 0) / l.own_design as n) k
) r;
comment on view pm_strength.described_lessons is 'The lessons of every set with all their statistics.';
revoke all on pm_strength.described_lessons from anon, authenticated;
grant select on pm_strength.described_lessons to authenticated;
grant select on pm_strength.described_lessons to service_role;

create view public.learning_lessons with (security_invoker = true) as
select
  id, module, pattern_key, action_category, scope_subset, lesson_type, n, stats,
  decay_halflife_hours, status, run_id, updated_at, edge_raw
from pm_strength.described_lessons
where array_position(array(
    select s.id from pm_strength.sets s where s.kind = 'lessons' and s.role = 'live' and s.state = 'live'
  ), (id >> 26) & 8388607) is not null
  -- The rows of other sets are not even looked at. As it is written, the planner takes these conditions for ones that
  -- leave many rows, and so reads a page in the order of its ids.
  and id >= (
    select min(s.first_id) from pm_strength.sets s where s.kind = 'lessons' and s.role = 'live' and s.state = 'live'
  )
  and (id, 0) < (
    (select max(s.first_id) + 67108864 from pm_strength.sets s where s.kind = 'lessons' and s.role = 'live' and s.state = 'live'),
    0
  );
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
comment on column public.learning_lessons.edge_raw is 'The edge, as in stats: to sort and filter by it fast.';
revoke all on public.learning_lessons from anon, authenticated;
grant select on public.learning_lessons to authenticated;
grant all on public.learning_lessons to service_role;

create function pm_strength.write_lesson() returns trigger
language plpgsql
set search_path = ''
as $$
declare
  placed pm_strength.sets;
begin
  if tg_op <> 'DELETE' and new.status not in ('active', 'retired') then
    raise check_violation using message = format('status: expected active or retired, got %s', new.status);
  end if;
  if tg_op = 'UPDATE' and new.module is not distinct from old.module then
    update pm_strength.lessons l
    set pattern_key = new.pattern_key, action_category = new.action_category, scope_subset = new.scope_subset,
      lesson_type = new.lesson_type, n = new.n, stats = new.stats, lead = null,
      decay_halflife_hours = new.decay_halflife_hours, retired = new.status = 'retired', run_id = new.run_id,
      updated_at = new.updated_at, by_hand = true
    where l.id = old.id;
    return new;
  end if;
  if tg_op <> 'INSERT' then
    delete from pm_strength.lessons l where l.id = old.id;
  end if;
  if tg_op = 'DELETE' then
    return old;
  end if;
  placed := pm_strength.set_for_hand(coalesce(new.module, 'pm'), 'lessons');
  -- of those that are written by hand the indexes of the shelves tell
  if placed.run_id is not null and exists (
    select from pm_strength.lessons l
    where l.id >= placed.first_id and l.id < placed.first_id + 67108864
      and l.pattern_key = new.pattern_key
      and l.action_category = new.action_category and l.scope_subset = new.scope_subset
  ) then
    raise unique_violation using message = format(
      'there is a lesson of %s %s for %s already', new.pattern_key, new.action_category, new.scope_subset
    );
  end if;
  insert into pm_strength.lessons (
    id, by_hand, pattern_key, action_category, scope_subset, lesson_type, n, stats,
    decay_halflife_hours, retired, run_id, updated_at
  )
  values (
    placed.first_id + 33554432 + nextval('pm_strength.hand_rows'), true, new.pattern_key,
    new.action_category, new.scope_subset,
    new.lesson_type, new.n, new.stats, new.decay_halflife_hours, coalesce(new.status = 'retired', false), new.run_id,
    coalesce(new.updated_at, now())
  )
  returning id, updated_at into new.id, new.updated_at;
  new.module := placed.module;
  new.status := coalesce(new.status, 'active');
  return new;
end
$$;
comment on function pm_strength.write_lesson() is 'Puts a lesson that is written by hand into the live set of its module.';
revoke execute on function pm_strength.write_lesson() from public, anon, authenticated;
grant execute on function pm_strength.write_lesson() to service_role;
create trigger write_lesson instead of insert or update or delete on public.learning_lessons
for each row execute function pm_strength.write_lesson();

-- The lessons number `first` and following of a run, as columns, of which the worker sends some thousand rows at a
-- time: so no call comes near the API's time limit, and Postgres need not take rows of JSON apart. Scopes and stats
-- are a line of JSON each. Two calls may be under way, and sending rows again after a lost answer changes nothing. Of
-- the leads, which the worker computes, some are computed again: an override with a wrong one would never be found.
create function public.pm_strength_stage_lessons(
  run_id bigint, first bigint, pattern_keys text[], action_categories text[], groups integer[], scopes text,
  leads bigint[], dimensions smallint[], n integer[], avg_rr double precision[], variance double precision[],
  edge_raw double precision[], slope_per_hour double precision[], slope_p_value double precision[],
  decay_state smallint[], design_effect double precision[], own_design double precision[],
  bayes_factor double precision[], p_value double precision[], avg_rr_half double precision[],
  trimmed_rate double precision[] default null, trimmed_n integer[] default null,
  reached_s3_rate double precision[] default null, reached_s3_n integer[] default null,
  a_score double precision[] default null, e_score double precision[] default null, stats text default null
) returns bigint
language plpgsql
set search_path = ''
set jit = off
as $$
declare
  target constant pm_strength.sets := pm_strength.staging_set(run_id);
  count constant integer := cardinality(leads);
  rows constant int8range := int8range(first, first + count);
  scope_of constant text[] := string_to_array(scopes, E'\n');
begin
  if target.staged @> rows then
    return 0;
  end if;
  if target.expects is null or first < 0 or first + count > target.expects
    or cardinality(scope_of) <> count or cardinality(n) <> count
  then
    raise invalid_parameter_value using message = format(
      'lessons: expected an open set and numbers from 0 to %s, got %s with %s scopes and %s numbers of trades',
      target.expects - 1, rows, cardinality(scope_of), cardinality(n)
    );
  end if;
  if exists (
    select from generate_series(1, count, greatest(1, count / 20)) place
    where (leads[place], dimensions[place]) is distinct from (
      pm_strength.lead(pattern_keys[groups[place]], action_categories[groups[place]], scope_of[place]::jsonb),
      pm_strength.dimension_count(scope_of[place]::jsonb)
    )
  ) then
    raise data_exception using message = 'lessons: expected the leads and dimensions of their scopes, got others';
  end if;
  insert into pm_strength.lessons (
    id, pattern_key, action_category, scope_subset, lead, dimensions, n, avg_rr, variance,
    edge_raw, slope_per_hour, slope_p_value, decay_state, design_effect, own_design, bayes_factor, p_value,
    avg_rr_half, trimmed_rate, trimmed_n, reached_s3_rate, reached_s3_n, a_score, e_score, stats
  )
  select
    target.first_id + first + u.place - 1, pattern_keys[u.g],
    action_categories[u.g], u.scope::jsonb, u.lead, u.dimensions, u.n, u.avg_rr, u.variance, u.edge_raw, u.slope,
    u.slope_p, u.decay_state, u.design, u.own, u.factor, u.p, u.half, u.trimmed, u.trimmed_n, u.s3, u.s3_n, u.a, u.e,
    nullif(u.stats, '')::jsonb
  from unnest(
    groups, scope_of, leads, dimensions, pm_strength_stage_lessons.n, avg_rr, variance, edge_raw, slope_per_hour,
    slope_p_value, decay_state, design_effect, own_design, bayes_factor, p_value, avg_rr_half, trimmed_rate,
    trimmed_n, reached_s3_rate, reached_s3_n, a_score, e_score, string_to_array(stats, E'\n')
  ) with ordinality u (
    g, scope, lead, dimensions, n, avg_rr, variance, edge_raw, slope, slope_p, decay_state, design, own, factor, p,
    half, trimmed, trimmed_n, s3, s3_n, a, e, stats, place
  );
  perform pm_strength.note_staged(target, rows, count);
  return count;
exception
  when exclusion_violation then
    if pm_strength.is_staged(target.id, rows) then
      return 0;
    end if;
    raise;
end
$$;
comment on function public.pm_strength_stage_lessons(
  bigint, bigint, text[], text[], integer[], text, bigint[], smallint[], integer[], double precision[],
  double precision[], double precision[], double precision[], double precision[], smallint[], double precision[],
  double precision[], double precision[], double precision[], double precision[], double precision[], integer[],
  double precision[], integer[], double precision[], double precision[], text
) is 'Adds lessons, from number first on, to the set of a running mining run; returns how many were new.';
revoke execute on function public.pm_strength_stage_lessons(
  bigint, bigint, text[], text[], integer[], text, bigint[], smallint[], integer[], double precision[],
  double precision[], double precision[], double precision[], double precision[], smallint[], double precision[],
  double precision[], double precision[], double precision[], double precision[], double precision[], integer[],
  double precision[], integer[], double precision[], double precision[], text
) from public, anon, authenticated;
grant execute on function public.pm_strength_stage_lessons(
  bigint, bigint, text[], text[], integer[], text, bigint[], smallint[], integer[], double precision[],
  double precision[], double precision[], double precision[], double precision[], smallint[], double precision[],
  double precision[], double precision[], double precision[], double precision[], double precision[], integer[],
  double precision[], integer[], double precision[], double precision[], text
) to service_role;

-- A lesson of the live set that the run did not find stays as retired, with its last statistics, for as long as
-- pm_retention says. Both sets are looked through in parts, by a hash of the scope. With the same settings, and no
-- event changed or removed, a run finds whatever the one before found: then only those that are retired already are
-- looked for. A part that was done before is not done again. Returns how many parts are left.
create function public.pm_strength_stage_retired(run_id bigint, part integer, part_rows integer) returns integer
language plpgsql
set search_path = ''
set jit = off
set enable_nestloop = off
set enable_mergejoin = off
set work_mem = '64MB'
as $$
declare
  target pm_strength.sets := pm_strength.staging_set(run_id);
  base pm_strength.sets;
  parts integer;
  as_before boolean;
  added bigint;
begin
  -- a call that is made again waits for the first one
  select s.* into target from pm_strength.sets s where s.id = target.id for update;
  select s.* into base from pm_strength.sets s where s.id = target.base_set_id;
  if base.id is null then
    return 0;
  end if;
  parts := 1 + (base.next_row + target.row_count) / greatest(part_rows, 1);
  if part < target.retired_to then
    return parts - target.retired_to;
  end if;
  as_before := base.settings = target.settings and base.profile = target.profile
    and base.epoch = target.epoch and target.epoch = (select e.epoch from pm_strength.event_epoch e);
  if as_before and base.next_row = base.row_count and not exists (
    select from pm_strength.lessons l
    where l.id >= base.first_id + 33554432 and l.id < base.first_id + 67108864
  ) then
    return 0;
  end if;
  -- one that is retired already, or was written by hand, is seen in any case
  with gone as materialized (
    select l.id from pm_strength.lessons l
    where l.id >= base.first_id and l.id < base.first_id + 67108864
      and (not coalesce(as_before, false) or l.retired or l.by_hand)
      and (not l.retired or l.updated_at >= pm_strength.kept_since('retired_lessons'))
      and (jsonb_hash_extended(l.scope_subset, 0) & 9223372036854775807) % parts = part
      and not exists (
        select from pm_strength.lessons f
        where f.id >= target.first_id and f.id < target.first_id + 67108864
          and f.pattern_key = l.pattern_key and f.action_category = l.action_category
          and f.scope_subset = l.scope_subset
          and (jsonb_hash_extended(f.scope_subset, 0) & 9223372036854775807) % parts = part
      )
  ), kept as (
    insert into pm_strength.lessons (
      id, run_id, retired, updated_at, by_hand, lead, avg_rr, variance, edge_raw, slope_per_hour, slope_p_value,
      design_effect, own_design, bayes_factor, p_value, avg_rr_half, trimmed_rate, reached_s3_rate, a_score, e_score,
      decay_halflife_hours, n, trimmed_n, reached_s3_n, dimensions, decay_state, pattern_key, action_category,
      scope_subset, lesson_type, stats
    )
    select
      target.first_id + target.next_row - 1 + row_number() over (order by b.id), coalesce(b.run_id, base.mining_run_id),
      true, case when b.retired then b.updated_at else now() end, b.by_hand, b.lead, b.avg_rr, b.variance, b.edge_raw,
      b.slope_per_hour, b.slope_p_value, b.design_effect, b.own_design, b.bayes_factor, b.p_value, b.avg_rr_half,
      b.trimmed_rate, b.reached_s3_rate, b.a_score, b.e_score, b.decay_halflife_hours, b.n, b.trimmed_n, b.reached_s3_n,
      b.dimensions, b.decay_state, b.pattern_key, b.action_category, b.scope_subset, b.lesson_type, b.stats
    from pm_strength.lessons b
    join gone using (id)
    where b.id >= base.first_id and b.id < base.first_id + 67108864
    returning id
  )
  select count(*) into added from kept;
  update pm_strength.sets s set retired_to = part + 1, next_row = s.next_row + added where s.id = target.id;
  return parts - part - 1;
end
$$;
comment on function public.pm_strength_stage_retired(bigint, integer, integer) is
  'Copies the live lessons of a part that a run did not find into its set, as retired; returns how many parts are left.';
revoke execute on function public.pm_strength_stage_retired(bigint, integer, integer) from public, anon, authenticated;
grant execute on function public.pm_strength_stage_retired(bigint, integer, integer) to service_role;
