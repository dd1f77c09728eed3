-- A request of a batch may name its own strategy, as the sizing function lets a bot do. And a caller may
-- set the time after which a batch ends early: it asks again for the rest, where 1,000 requests against
-- a hundred thousand overrides would be cut at 8 s, and none of them answered.
drop function public.resolve_pm_strength_batch(jsonb, integer);
create function public.resolve_pm_strength_batch(
  requests jsonb, match_limit integer default 0, budget_ms integer default null
) returns jsonb
language plpgsql stable
set search_path = ''
as $$
declare
  ends_at constant timestamptz := clock_timestamp() + budget_ms * interval '1 millisecond';
  live pm_strength.live_sets;
  settings constant jsonb := pm_strength.effective_settings('pm');
  request jsonb;
  strategy jsonb;
  answers jsonb[] := array[]::jsonb[];
begin
  perform pm_strength.require_reader();
  if jsonb_typeof(requests) is distinct from 'array' then
    raise invalid_parameter_value using
      message = 'requests: expected an array of {pattern_key, action_category, scope, strategy?}';
  end if;
  if jsonb_array_length(requests) > 1000 then
    raise invalid_parameter_value using
      message = format('requests: expected at most 1000, got %s', jsonb_array_length(requests));
  end if;
  select * into strict live from pm_strength.live_sets s where s.kind = 'overrides';
  for request in select r.value from jsonb_array_elements(requests) with ordinality r (value, place) order by r.place loop
    strategy := coalesce(nullif(request -> 'strategy', 'null'), settings -> 'strategy');
    answers := answers || pm_strength.resolve_one(
      live, settings || jsonb_build_object('strategy', strategy),
      -- without a key it is bad_input, and so it is with a strategy that there is none of
      case
        when jsonb_typeof(request -> 'pattern_key') = 'string' and strategy in ('"blend"', '"most_specific"')
          then request ->> 'pattern_key'
      end,
      case when jsonb_typeof(request -> 'action_category') = 'string' then request ->> 'action_category' end,
      request -> 'scope', match_limit
    );
    exit when clock_timestamp() > ends_at;
  end loop;
  return to_jsonb(answers);
end
$$;
comment on function public.resolve_pm_strength_batch(jsonb, integer, integer) is
  'Up to 1000 requests {pattern_key, action_category, scope, strategy?}, answered in their order from one set; with budget_ms, the first of them that so much time is enough for.';
revoke execute on function public.resolve_pm_strength_batch(jsonb, integer, integer) from public, anon;
grant execute on function public.resolve_pm_strength_batch(jsonb, integer, integer) to authenticated, service_role;
