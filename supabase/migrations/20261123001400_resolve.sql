-- resolve_pm_strength: the size multiplier for an action in a scope, explained.

create function public.resolve_pm_strength(
  pattern_key text, action_category text, scope jsonb default '{}', match_limit integer default 20
) returns jsonb
language plpgsql stable
set search_path = ''
as $$
declare
  settings constant jsonb := pm_strength.effective_settings('pm');
  alpha constant double precision := (settings ->> 'specificity_alpha')::double precision;
  live pm_strength.live_sets;
  as_of timestamptz;
  context constant jsonb := case when jsonb_typeof(scope) = 'object' then scope else '{}' end;
  found record;
  raw double precision;
  multiplier double precision := 1;
  reason text;
begin
  perform pm_strength.require_reader();
  select * into strict live from pm_strength.live_sets s where s.kind = 'overrides';

  with matched as (
    select o.id, o.scope_subset, o.multiplier, o.confidence_score, o.dimensions,
      o.confidence_score * power(o.dimensions + 1, alpha) as weight
    from pm_strength.override_sets o
    where o.set_id = live.set_id
      and o.pattern_key = resolve_pm_strength.pattern_key
      and o.action_category = resolve_pm_strength.action_category
      and o.scope_subset <@ context
  )
  select
    (select count(*) from matched) as count,
    (select sum(m.weight) from matched m) as weight,
    (select sum(m.weight * m.multiplier) from matched m) as weighted,
    (
      select m.multiplier from matched m
      order by m.dimensions desc, m.confidence_score desc, abs(m.multiplier - 1), m.multiplier
      limit 1
    ) as most_specific,
    (
      select jsonb_agg(jsonb_build_object(
        'id', m.id, 'scope_subset', m.scope_subset, 'multiplier', m.multiplier,
        'confidence_score', m.confidence_score, 'weight', m.weight
      ) order by m.weight desc, m.id)
      from (
        select * from matched order by weight desc, id limit match_limit
      ) m
    ) as heaviest
  into strict found;

  -- rows written by hand before the first materialization are as old as the newest of them
  as_of := coalesce(live.published_at, (
    select max(o.last_updated_at) from pm_strength.override_sets o where o.set_id = live.set_id
  ));
  raw := case settings ->> 'strategy'
    when 'most_specific' then found.most_specific
    else found.weighted / nullif(found.weight, 0)
  end;

  reason := case
    when coalesce(pattern_key, '') = '' or coalesce(action_category, '') = '' then 'bad_input'
    when as_of < clock_timestamp()
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
  end if;

  return jsonb_build_object(
    'multiplier', multiplier,
    'reason', reason,
    'matched', found.count,
    'matches', coalesce(found.heaviest, '[]'),
    'run_id', live.run_id,
    'as_of', as_of
  );
end
$$;
comment on function public.resolve_pm_strength(text, text, jsonb, integer) is
  'The multiplier for an action in a scope, with the reason and the match_limit heaviest matches (null: all).';
revoke execute on function public.resolve_pm_strength(text, text, jsonb, integer) from public, anon;
grant execute on function public.resolve_pm_strength(text, text, jsonb, integer) to authenticated, service_role;
