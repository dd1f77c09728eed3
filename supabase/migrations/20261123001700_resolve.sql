-- resolve_pm_strength: the size multiplier for an action in a scope, explained.
-- GIN on jsonb serves "contains", never "is contained in": without an index on what an override asks for
-- (pm_strength.lead) all overrides of a group would be compared with the scope.

-- Every term of an override that holds is also a term of the scope. So the overrides are looked up by each term
-- and by each pair of terms of the scope, and the few that are found are compared in full. A scope of more than
-- 200 dimensions is compared with the whole group. The planner settings keep it on the index, with one plan,
-- whatever the statistics say.
create function pm_strength.resolve_one(
  live pm_strength.sets, settings jsonb, pattern_key text, action_category text, scope jsonb,
  match_limit integer, at timestamptz
) returns jsonb
language plpgsql stable
set search_path = ''
set jit = off
set enable_seqscan = off
set enable_bitmapscan = off
set plan_cache_mode = force_generic_plan
as $$
declare
  alpha constant double precision := (settings ->> 'specificity_alpha')::double precision;
  strategy constant text := settings ->> 'strategy';
  scored constant boolean := (settings ->> 'ae_multipliers')::boolean;
  -- before the first set nothing holds: no set has the number 0
  set_asked constant bigint := coalesce(live.id, 0);
  bits constant bigint := pm_strength.set_bits(set_asked) # pm_strength.group_bits(pattern_key, action_category);
  context jsonb;
  terms bigint[];
  too_large boolean;
  leads bigint[];
  as_of timestamptz;
  found record;
  raw double precision;
  multiplier double precision := 1;
  scores double precision[];
  reason text;
begin
  if match_limit < 0 then
    raise invalid_parameter_value using
      message = format('match_limit: expected a number from 0 on, or null for all, got %s', match_limit);
  end if;
  -- what pm_strength.lead gives for every override that could hold
  select coalesce(jsonb_object_agg(e.key, e.value), '{}'),
    array_agg(jsonb_hash_extended(jsonb_build_object(e.key, e.value), 0)),
    coalesce(bool_or(abs(n.number) > 9007199254740992 and n.number = trunc(n.number)), false)
  into context, terms, too_large
  from jsonb_each(case when jsonb_typeof(scope) = 'object' then scope else '{}' end) e
  cross join lateral (select case when jsonb_typeof(e.value) = 'number' then e.value::numeric end as number) n
  where jsonb_typeof(e.value) in ('number', 'boolean') or (jsonb_typeof(e.value) = 'string' and e.value <> '""');

  -- every pair of a thousand dimensions would take longer than comparing them with all overrides
  if too_large then
    -- such a number is not the same in every language, so nothing may hold
    leads := '{}';
  elsif cardinality(terms) <= 200 or terms is null then
    with hashed as materialized (
      select t.term, bits # t.term as alone, (t.term << 23) | ((t.term >> 41) & 8388607) as turned
      from unnest(terms) t (term)
    )
    select coalesce(array_agg(a.alone # b.turned), '{}') || bits into leads
    from hashed a
    -- "<=": two dimensions may have the same 64 bits; the last row stands for no second term
    join (select h.term, h.turned from hashed h union all select 9223372036854775807, 0) b on a.term <= b.term;
  end if;

  with matched as materialized (
    select o.id, o.scope_subset, o.multiplier, o.confidence_score, o.dimensions, o.stats, o.a_multiplier,
      o.e_multiplier,
      o.confidence_score * power(o.dimensions + 1, alpha) as weight
    from (
      -- "offset 0" keeps the planner from another index, which it would choose while its statistics do not
      -- know the new set
      select s.* from pm_strength.overrides_by_lead(coalesce(live.shelf, 0), leads) s
      where s.id >= live.first_id and s.id < live.first_id + 67108864
        and s.pattern_key = resolve_one.pattern_key
        and s.action_category = resolve_one.action_category
      union all
      select s.* from pm_strength.overrides s
      where s.id >= live.first_id and s.id < live.first_id + 67108864
        and s.pattern_key = resolve_one.pattern_key
        and s.action_category = resolve_one.action_category
        and leads is null
    ) o
    where o.scope_subset <@ context
  )
  select
    count(*) as count,
    sum(m.weight) as weight,
    sum(m.weight * m.multiplier) as weighted,
    -- in two parts, of which the first is exact: large terms that cancel must not take digits from small ones
    sum(case when strategy = 'sum' then trunc((m.multiplier - 1) * 1024) / 1024 end)
      + sum(case when strategy = 'sum' then (m.multiplier - 1) - trunc((m.multiplier - 1) * 1024) / 1024 end) as terms,
    case when strategy = 'most_specific' then (
      select array[s.multiplier, s.a_multiplier, s.e_multiplier] from matched s
      order by s.dimensions desc, s.confidence_score desc, abs(s.multiplier - 1), s.multiplier
      limit 1
    ) end as most_specific,
    -- of those that have them
    sum(m.weight * m.a_multiplier) filter (where scored)
      / nullif(sum(m.weight) filter (where scored and m.a_multiplier is not null), 0) as a_multiplier,
    sum(m.weight * m.e_multiplier) filter (where scored)
      / nullif(sum(m.weight) filter (where scored and m.e_multiplier is not null), 0) as e_multiplier,
    case when match_limit is distinct from 0 then (
      select jsonb_agg(
        case when h.stats is null and h.a_multiplier is null then b.shown
        else b.shown
          || case when h.stats is null then '{}' else jsonb_build_object('stats', h.stats) end
          || case when h.a_multiplier is null then '{}'
            else jsonb_build_object('a_multiplier', h.a_multiplier, 'e_multiplier', h.e_multiplier) end
        end
        order by h.weight desc, h.id
      )
      from (select * from matched order by weight desc, id limit match_limit) h
      cross join lateral (
        select jsonb_build_object(
          'id', h.id, 'scope_subset', h.scope_subset, 'multiplier', h.multiplier,
          'confidence_score', h.confidence_score, 'weight', h.weight
        ) as shown
        offset 0
      ) b
    ) end as heaviest
  into strict found
  from matched m;

  as_of := case when live.published_at is null or live.pinned then pm_strength.as_of(live) else live.published_at end;
  raw := case strategy
    when 'most_specific' then found.most_specific[1]
    when 'sum' then 1 + found.terms
    else found.weighted / nullif(found.weight, 0)
  end;

  reason := case
    when coalesce(pattern_key, '') = '' or coalesce(action_category, '') = '' or too_large then 'bad_input'
    when as_of < at
      - (settings ->> 'stale_after_hours')::double precision * interval '1 hour' then 'stale'
    when found.count = 0 then 'no_match'
    when found.weight = 0 then 'zero_weight'
    else 'matched'
  end;
  if reason = 'matched' then
    multiplier := greatest(
      (settings ->> 'multiplier_min')::double precision,
      least((settings ->> 'multiplier_max')::double precision, raw)
    );
    if multiplier > 1 and live.exposure_scale <> 1 then
      multiplier := 1 + (multiplier - 1) * live.exposure_scale;
    end if;
  end if;
  if scored then
    scores := array[1, 1];
    if reason = 'matched' and strategy = 'most_specific' then
      scores := array[coalesce(found.most_specific[2], 1), coalesce(found.most_specific[3], 1)];
    elsif reason = 'matched' then
      scores := array[coalesce(found.a_multiplier, 1), coalesce(found.e_multiplier, 1)];
    end if;
  end if;

  return jsonb_build_object(
    'multiplier', multiplier,
    'reason', reason,
    'matched', found.count,
    'matches', coalesce(found.heaviest, '[]'),
    'run_id', live.mining_run_id,
    'as_of', as_of,
    'strategy', strategy,
    'a_multiplier', scores[1],
    'e_multiplier', scores[2],
    'exposure_scale', coalesce(live.exposure_scale, 1)
  );
end
$$;
comment on function pm_strength.resolve_one(pm_strength.sets, jsonb, text, text, jsonb, integer, timestamptz) is
  'The multiplier for one request against a set, asked at a time, with its reason and its heaviest matches.';
revoke execute on function pm_strength.resolve_one(pm_strength.sets, jsonb, text, text, jsonb, integer, timestamptz)
  from public, anon;
grant execute on function pm_strength.resolve_one(pm_strength.sets, jsonb, text, text, jsonb, integer, timestamptz)
  to authenticated, service_role;

-- Which trades are sized by the shadow: the first 32 bits of the SHA-256 of the trade's id, as a share of all.
-- Python does the same (`runtime/canary.py`).
create function pm_strength.in_canary(trade_id text, share double precision) returns boolean
language sql immutable
set search_path = ''
as $$
  select coalesce(
    ('x' || encode(substr(sha256(convert_to(lower(trade_id), 'UTF8')), 1, 4), 'hex'))::bit(32)::bigint
      < share * 4294967296, false
  )
$$;
comment on function pm_strength.in_canary(text, double precision) is
  'Whether a trade is one of the share that is sized by the shadow profile.';
revoke execute on function pm_strength.in_canary(text, double precision) from public, anon;
grant execute on function pm_strength.in_canary(text, double precision) to authenticated, service_role;

-- The answer of the live set, by the strategy asked for ('' is an unknown one). Where there is a shadow, that of
-- the shadow for the trades of the canary, and the other's beside it.
create function pm_strength.resolve_roles(
  module text, settings jsonb, pattern_key text, action_category text, scope jsonb, match_limit integer,
  strategy text, trade_id text
) returns jsonb
language plpgsql stable
set search_path = ''
as $$
declare
  live constant pm_strength.sets := pm_strength.live_set(module, 'overrides');
  shadow pm_strength.sets;
  at constant timestamptz := clock_timestamp();
  by_live jsonb;
  by_shadow jsonb;
begin
  by_live := pm_strength.resolve_one(
    live, settings || jsonb_build_object(
      'strategy', nullif(coalesce(strategy, pm_strength.strategy_of(settings, live.profile)), '')
    ),
    pattern_key, action_category, scope, match_limit, at
  );
  if settings ->> 'shadow_profile' is null then
    return by_live;
  end if;
  shadow := pm_strength.live_set(module, 'overrides', 'shadow');
  if shadow.id is null then
    return by_live;
  end if;
  by_shadow := pm_strength.resolve_one(
    shadow,
    settings || jsonb_build_object(
      'strategy', nullif(coalesce(strategy, pm_strength.strategy_of(settings, shadow.profile)), '')
    ),
    pattern_key, action_category, scope, match_limit, at
  );
  if pm_strength.in_canary(trade_id, (settings ->> 'canary_share')::double precision) then
    return by_shadow || jsonb_build_object('role', 'shadow', 'beside', by_live - 'matches' || '{"role": "live"}');
  end if;
  return by_live || jsonb_build_object('role', 'live', 'beside', by_shadow - 'matches' || '{"role": "shadow"}');
end
$$;
comment on function pm_strength.resolve_roles(text, jsonb, text, text, jsonb, integer, text, text) is
  'The multiplier for one request, and beside it that of the other role where a shadow profile is set.';
revoke execute on function pm_strength.resolve_roles(text, jsonb, text, text, jsonb, integer, text, text) from public, anon;
grant execute on function pm_strength.resolve_roles(text, jsonb, text, text, jsonb, integer, text, text)
  to authenticated, service_role;

create function public.resolve_pm_strength(
  pattern_key text, action_category text, scope jsonb default '{}', match_limit integer default 20,
  module text default 'pm', trade_id text default null
) returns jsonb
language plpgsql stable
set search_path = ''
as $$
begin
  perform pm_strength.require_reader();
  return pm_strength.resolve_roles(
    module, pm_strength.effective_settings(module), pattern_key, action_category, scope, match_limit, null, trade_id
  );
end
$$;
comment on function public.resolve_pm_strength(text, text, jsonb, integer, text, text) is
  'The multiplier for an action in a scope, with the reason and the match_limit heaviest matches (null: all). The trade_id decides whether the shadow profile sizes it, where there is one.';
revoke execute on function public.resolve_pm_strength(text, text, jsonb, integer, text, text) from public, anon;
grant execute on function public.resolve_pm_strength(text, text, jsonb, integer, text, text) to authenticated, service_role;

-- A request of a batch may name its own module, strategy and trade, as the sizing function lets a bot do. A caller
-- may set the time after which a batch ends early, and then ask again for the rest: 1,000 requests against a
-- hundred thousand overrides would be cut at 8 s, and none of them answered.
create function public.resolve_pm_strength_batch(
  requests jsonb, match_limit integer default 0, budget_ms integer default null
) returns jsonb
language plpgsql stable
set search_path = ''
as $$
declare
  ends_at constant timestamptz := clock_timestamp() + budget_ms * interval '1 millisecond';
  settings jsonb;
  asked record;
  module text;
  strategy jsonb;
  answers jsonb[] := array[]::jsonb[];
begin
  perform pm_strength.require_reader();
  if jsonb_typeof(requests) is distinct from 'array' then
    raise invalid_parameter_value using
      message = 'requests: expected an array of {pattern_key, action_category, scope, strategy?, module?, trade_id?}';
  end if;
  if jsonb_array_length(requests) > 1000 then
    raise invalid_parameter_value using
      message = format('requests: expected at most 1000, got %s', jsonb_array_length(requests));
  end if;
  for asked in
    select
      -- a key that is not a text counts as missing, which is bad_input
      case when jsonb_typeof(r.value -> 'pattern_key') = 'string' then r.value ->> 'pattern_key' end as pattern_key,
      case when jsonb_typeof(r.value -> 'action_category') = 'string' then r.value ->> 'action_category' end
        as action_category,
      r.value -> 'scope' as scope,
      nullif(r.value -> 'strategy', 'null') as strategy,
      coalesce(nullif(r.value -> 'module', 'null'), '"pm"') as module,
      case when jsonb_typeof(r.value -> 'trade_id') = 'string' then r.value ->> 'trade_id' end as trade_id
    from jsonb_array_elements(requests) with ordinality r (value, place)
    order by r.place
  loop
    if module is null or asked.module #>> '{}' is distinct from module then
      module := asked.module #>> '{}';
      settings := pm_strength.effective_settings(module);
    end if;
    strategy := asked.strategy;
    if strategy not in ('"blend"', '"most_specific"', '"sum"') then
      strategy := '""';
      asked.pattern_key := null;
    elsif jsonb_typeof(asked.module) <> 'string' then
      asked.pattern_key := null;
    end if;
    answers := answers || pm_strength.resolve_roles(
      module, settings, asked.pattern_key, asked.action_category, asked.scope, match_limit, strategy #>> '{}',
      asked.trade_id
    );
    exit when clock_timestamp() > ends_at;
  end loop;
  return to_jsonb(answers);
end
$$;
comment on function public.resolve_pm_strength_batch(jsonb, integer, integer) is
  'Answers up to 1000 requests {pattern_key, action_category, scope, strategy?, module?, trade_id?} in their order, from one snapshot. With budget_ms it stops after that time and answers the first ones alone.';
revoke execute on function public.resolve_pm_strength_batch(jsonb, integer, integer) from public, anon;
grant execute on function public.resolve_pm_strength_batch(jsonb, integer, integer) to authenticated, service_role;

-- How much a run's overrides would add to sizes: what they make of the newest sized actions, page by page. Of the
-- newest 20,000 events alone, as those of a module may lie far apart.
create function public.pm_strength_weigh_exposure(run_id bigint, before_id bigint, page_size integer) returns jsonb
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
  by_profile constant jsonb := settings || jsonb_build_object(
    'strategy', pm_strength.strategy_of(settings, target.profile)
  );
  event record;
  multiplier double precision;
  actions integer := 0;
  below double precision := 0;
  above double precision := 0;
  last_id bigint;
begin
  for event in
    select e.id, e.pattern_key, e.action_category, e.scope
    from (
      -- as in pm_strength_read_events; of a module that hardly sizes, no more than these are looked at
      select n.* from public.pattern_trade_events n
      where (n.module, n.id) >= (target.module, 0)
        and (n.module, n.id) < (target.module, coalesce(before_id, 9223372036854775807))
      order by n.module desc, n.id desc
      limit 20000
    ) e
    where e.action_category in ('entry', 'add')
    limit least(page_size, 500)
  loop
    multiplier := (pm_strength.resolve_one(
      target, by_profile, event.pattern_key, event.action_category, event.scope, 0, clock_timestamp()
    ) ->> 'multiplier')::double precision;
    actions := actions + 1;
    below := below + least(multiplier, 1);
    above := above + greatest(multiplier - 1, 0);
    last_id := event.id;
  end loop;
  return jsonb_build_object('before_id', last_id, 'actions', actions, 'below', below, 'above', above);
end
$$;
comment on function public.pm_strength_weigh_exposure(bigint, bigint, integer) is
  'What a running run''s overrides make of a page of the newest sized actions: {before_id, actions, below, above}, the sums of least(m, 1) and of what is above 1.';
revoke execute on function public.pm_strength_weigh_exposure(bigint, bigint, integer) from public, anon, authenticated;
grant execute on function public.pm_strength_weigh_exposure(bigint, bigint, integer) to service_role;
