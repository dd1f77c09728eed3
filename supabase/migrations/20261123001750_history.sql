-- History: which set of overrides was live when, what it would have said, and going back to one.

create view public.pm_override_sets with (security_invoker = true) as
select
  s.id, s.module, s.profile, s.role, s.state, s.pinned, s.run_id, s.mining_run_id, s.row_count, s.exposure_scale,
  s.settings, s.created_at, s.published_at, s.replaced_at, s.dropped_at
from pm_strength.sets s
where s.kind = 'overrides' and s.state <> 'staging';
comment on view public.pm_override_sets is 'The versions of each module''s overrides: the live one, and those that were live before.';
comment on column public.pm_override_sets.id is 'The set.';
comment on column public.pm_override_sets.module is 'The module that it is for.';
comment on column public.pm_override_sets.profile is 'The profile that made it.';
comment on column public.pm_override_sets.role is 'live or shadow.';
comment on column public.pm_override_sets.state is 'live, kept (it can be looked at and gone back to) or dropped (its rows are removed).';
comment on column public.pm_override_sets.pinned is 'Whether a rollback pinned it: no run replaces it.';
comment on column public.pm_override_sets.run_id is 'The run that made it; null for rows written by hand.';
comment on column public.pm_override_sets.mining_run_id is 'The mining run that its numbers come from.';
comment on column public.pm_override_sets.row_count is 'How many overrides were made.';
comment on column public.pm_override_sets.exposure_scale is 'What the part of a multiplier above 1 is multiplied by.';
comment on column public.pm_override_sets.settings is 'The settings of its run.';
comment on column public.pm_override_sets.created_at is 'When its run began.';
comment on column public.pm_override_sets.published_at is 'When it last went live.';
comment on column public.pm_override_sets.replaced_at is 'When another one went live after it.';
comment on column public.pm_override_sets.dropped_at is 'When it was dropped.';
revoke all on public.pm_override_sets from anon, authenticated, service_role;
grant select on public.pm_override_sets to authenticated, service_role;

create function pm_strength.settings_at(module text, at timestamptz) returns jsonb
language sql stable
set search_path = ''
as $$
  select pm_strength.complete_settings((
    select h.settings from pm_strength.settings_history h
    where h.module = settings_at.module and h.valid_from <= settings_at.at
    order by h.valid_from desc, h.id desc
    limit 1
  ))
$$;
comment on function pm_strength.settings_at(text, timestamptz) is 'All settings of a module as they were at a time.';
revoke execute on function pm_strength.settings_at(text, timestamptz) from public, anon;
grant execute on function pm_strength.settings_at(text, timestamptz) to authenticated, service_role;

-- The set is given with the times that it had then. Before the first set nothing was in force; where the set of
-- that time is not kept any more, an answer would be a guess.
create function pm_strength.set_at(module text, at timestamptz, role text) returns pm_strength.sets
language plpgsql stable
set search_path = ''
as $$
declare
  then_live pm_strength.live_times;
  found_set pm_strength.sets;
begin
  if at is null or at > clock_timestamp() then
    raise invalid_parameter_value using message = format('at: expected a time that has passed, got %s', at);
  end if;
  select t.* into then_live from pm_strength.live_times t
  where t.module = set_at.module and t.role = set_at.role and t.live_from <= at
  order by t.live_from desc
  limit 1;
  select s.* into found_set from pm_strength.sets s where s.id = then_live.set_id;
  if then_live.set_id is null then
    return null;
  end if;
  if found_set.state is null or found_set.state not in ('live', 'kept') or then_live.live_to <= at then
    raise no_data_found using
      message = format('at: the overrides of %s are not kept any more', at),
      hint = 'pm_retention says how many sets of overrides are kept, and for how long.';
  end if;
  found_set.published_at := case when found_set.run_id is not null then
    case when then_live.pinned then greatest(then_live.live_from, date_trunc('hour', at)) else then_live.live_from end
  end;
  found_set.pinned := false;
  return found_set;
end
$$;
comment on function pm_strength.set_at(text, timestamptz, text) is
  'The set of overrides that was live at a time, as it was then; null before the first. Raises no_data_found where it is not kept.';
revoke execute on function pm_strength.set_at(text, timestamptz, text) from public, anon;
grant execute on function pm_strength.set_at(text, timestamptz, text) to authenticated, service_role;

create function public.resolve_pm_strength_at(
  at timestamptz, pattern_key text, action_category text, scope jsonb default '{}', match_limit integer default 20,
  module text default 'pm', role text default 'live'
) returns jsonb
language plpgsql stable
set search_path = ''
as $$
declare
  then_live pm_strength.sets;
  settings jsonb;
  answer jsonb;
begin
  perform pm_strength.require_reader();
  then_live := pm_strength.set_at(module, at, role);
  settings := pm_strength.settings_at(module, at);
  answer := pm_strength.resolve_one(
    then_live, settings || jsonb_build_object('strategy', pm_strength.strategy_of(settings, then_live.profile)),
    pattern_key, action_category, scope, match_limit, at
  );
  -- an answer without what was removed meanwhile would be a silent 1.0
  if not pm_strength.is_there(then_live) then
    raise no_data_found using message = format('at: the overrides of %s are not kept any more', at);
  end if;
  return answer || jsonb_build_object('set_id', then_live.id);
end
$$;
comment on function public.resolve_pm_strength_at(timestamptz, text, text, jsonb, integer, text, text) is
  'What resolve_pm_strength answered at a time, by the overrides and the settings of then, and the set that it was.';
revoke execute on function public.resolve_pm_strength_at(timestamptz, text, text, jsonb, integer, text, text)
  from public, anon;
grant execute on function public.resolve_pm_strength_at(timestamptz, text, text, jsonb, integer, text, text)
  to authenticated, service_role;

-- What a reader needs for a book of that time; its rows are read as those of any set.
create function public.pm_strength_set_at(at timestamptz, module text default 'pm', role text default 'live')
returns jsonb
language plpgsql stable
set search_path = ''
as $$
declare
  then_live pm_strength.sets;
begin
  perform pm_strength.require_reader();
  then_live := pm_strength.set_at(module, at, role);
  return jsonb_build_object(
    'set_id', coalesce(then_live.id, 0), 'run_id', then_live.mining_run_id, 'as_of', pm_strength.as_of(then_live),
    'profile', then_live.profile, 'exposure_scale', coalesce(then_live.exposure_scale, 1),
    'settings', pm_strength.settings_at(module, at)
  );
end
$$;
comment on function public.pm_strength_set_at(timestamptz, text, text) is
  'The set of overrides that was live at a time, with the settings of then.';
revoke execute on function public.pm_strength_set_at(timestamptz, text, text) from public, anon;
grant execute on function public.pm_strength_set_at(timestamptz, text, text) to authenticated, service_role;

-- Makes a set that is kept live again, and pins it: the next run would replace it within the hour.
create function public.pm_strength_rollback(set_id bigint) returns jsonb
language plpgsql
set search_path = ''
as $$
declare
  target pm_strength.sets;
begin
  select s.* into target from pm_strength.sets s
  where s.id = pm_strength_rollback.set_id and s.kind = 'overrides' and s.role = 'live'
  for update;
  if target.state is null or target.state not in ('kept', 'live') then
    raise no_data_found using
      message = format('set_id: expected a set of overrides that is kept or live, got %s', set_id),
      hint = '`pm-strength overrides history` shows them.';
  end if;
  perform pg_advisory_xact_lock(hashtext('pm_strength.publish'), hashtext(target.module || target.kind || target.role));
  -- as it is after a wait for the lock
  select s.* into target from pm_strength.sets s where s.id = target.id;
  if not (target.state = 'live' and target.pinned) then
    perform pm_strength.switch_live(target, true);
  end if;
  return jsonb_build_object('set_id', target.id, 'module', target.module);
end
$$;
comment on function public.pm_strength_rollback(bigint) is
  'Makes a kept set of overrides live again and pins it, so that no run replaces it: {set_id, module}.';
revoke execute on function public.pm_strength_rollback(bigint) from public, anon, authenticated;
grant execute on function public.pm_strength_rollback(bigint) to service_role;

create function public.pm_strength_unpin(module text) returns bigint
language plpgsql
set search_path = ''
as $$
declare
  live pm_strength.sets;
begin
  perform pm_strength.assert_module(module);
  perform pg_advisory_xact_lock(hashtext('pm_strength.publish'), hashtext(module || 'overrides' || 'live'));
  live := pm_strength.live_set(module, 'overrides');
  if live.pinned then
    perform pm_strength.switch_live(live, false);
    return live.id;
  end if;
  return null;
end
$$;
comment on function public.pm_strength_unpin(text) is
  'Lets runs of a module publish overrides again; returns the set that was pinned, or null.';
revoke execute on function public.pm_strength_unpin(text) from public, anon, authenticated;
grant execute on function public.pm_strength_unpin(text) to service_role;

-- What each role would have said of actions of the past, for the report that compares them. A time whose
-- overrides are not kept any more gives null, and so does a role that had none.
create function public.pm_strength_replay(requests jsonb, budget_ms integer default 5000) returns jsonb
language plpgsql stable
set search_path = ''
as $$
declare
  ends_at constant timestamptz := clock_timestamp() + budget_ms * interval '1 millisecond';
  asked record;
  answers jsonb[] := array[]::jsonb[];
  answer jsonb;
  role text;
  multiplier jsonb;
begin
  for asked in
    select r.value, (r.value ->> 'at')::timestamptz as at, coalesce(r.value ->> 'module', 'pm') as module
    from jsonb_array_elements(requests) with ordinality r (value, place)
    order by r.place
  loop
    answer := '{}';
    foreach role in array array['live', 'shadow'] loop
      multiplier := null;
      begin
        if (pm_strength.set_at(asked.module, asked.at, role)).id is not null then
          multiplier := public.resolve_pm_strength_at(
            asked.at, asked.value ->> 'pattern_key', asked.value ->> 'action_category', asked.value -> 'scope', 0,
            asked.module, role
          ) -> 'multiplier';
        end if;
      exception when no_data_found then
        null;
      end;
      answer := answer || jsonb_build_object(role, multiplier);
    end loop;
    answers := answers || answer;
    exit when clock_timestamp() > ends_at;
  end loop;
  return to_jsonb(answers);
end
$$;
comment on function public.pm_strength_replay(jsonb, integer) is
  'What each role said at the times of requests {at, pattern_key, action_category, scope, module?}: [{live, shadow}], null where it is not known. Ends after budget_ms with the first answers.';
revoke execute on function public.pm_strength_replay(jsonb, integer) from public, anon, authenticated;
grant execute on function public.pm_strength_replay(jsonb, integer) to service_role;
