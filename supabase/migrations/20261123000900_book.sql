-- The book: what a resolver needs to answer by itself, page by page.

create function pm_strength.as_of(overrides_of pm_strength.sets) returns timestamptz
language sql stable
set search_path = ''
as $$
  -- a pinned set is confirmed as long as it is pinned; an hour at a time, so that readers need not load it anew
  select coalesce(
    case when overrides_of.pinned then greatest(overrides_of.published_at, date_trunc('hour', clock_timestamp())) end,
    overrides_of.published_at, overrides_of.hand_at
  )
$$;
comment on function pm_strength.as_of(pm_strength.sets) is
  'When a set of overrides was made: when it was published, or the newest row of one written by hand.';
revoke execute on function pm_strength.as_of(pm_strength.sets) from public, anon;
grant execute on function pm_strength.as_of(pm_strength.sets) to authenticated, service_role;

-- A page of a set, for a resolver's own book. Without a set it starts at the live one of the module; a set
-- that is dropped is said to be gone, and the reader starts again.
create function public.pm_strength_read_overrides(
  set_id bigint default null, after_id bigint default 0, page_size integer default 5000, module text default 'pm'
) returns jsonb
language plpgsql stable
set search_path = ''
set jit = off
set enable_seqscan = off
set enable_bitmapscan = off
set enable_sort = off
as $$
declare
  wanted pm_strength.sets;
  settings constant jsonb := pm_strength.effective_settings(module);
  page jsonb;
begin
  perform pm_strength.require_reader();
  wanted := pm_strength.live_set(module, 'overrides');
  -- 0 stands for the empty set before the first
  if set_id is distinct from coalesce(wanted.id, 0) and set_id is not null then
    select s.* into wanted from pm_strength.sets s
    where s.id = pm_strength_read_overrides.set_id and s.kind = 'overrides' and s.state in ('live', 'kept')
      and s.module = pm_strength_read_overrides.module;
    if not found then
      return jsonb_build_object('set_id', set_id, 'gone', true);
    end if;
  end if;
  page := jsonb_build_object(
    'set_id', coalesce(wanted.id, 0),
    'gone', false,
    'run_id', wanted.mining_run_id,
    'profile', wanted.profile,
    'exposure_scale', coalesce(wanted.exposure_scale, 1),
    'as_of', pm_strength.as_of(wanted),
    'now', clock_timestamp(),
    'settings', settings,
    -- where a profile is to be resolved beside the live one
    'shadow_set_id', case
      when settings ->> 'shadow_profile' is not null then (pm_strength.live_set(module, 'overrides', 'shadow')).id end,
    'overrides', (
      -- what an override of the source's profile lacks takes no room: a book may have 100,000
      select coalesce(jsonb_agg(
        jsonb_build_object(
          'id', p.id, 'pattern_key', p.pattern_key, 'action_category', p.action_category,
          'scope_subset', p.scope_subset, 'multiplier', p.multiplier, 'confidence_score', p.confidence_score
        )
        || case when p.stats is null then '{}' else jsonb_build_object('stats', p.stats) end
        || case when p.a_multiplier is null then '{}'
          else jsonb_build_object('a_multiplier', p.a_multiplier, 'e_multiplier', p.e_multiplier) end
        order by p.id
      ), '[]')
      from (
        select o.id, o.pattern_key, o.action_category, o.scope_subset, o.multiplier, o.confidence_score,
          o.stats, o.a_multiplier, o.e_multiplier
        from pm_strength.overrides o
        where o.id > greatest(pm_strength_read_overrides.after_id, wanted.first_id - 1)
          and o.id < wanted.first_id + 67108864
        order by o.id
        limit least(pm_strength_read_overrides.page_size, 20000)
      ) p
    )
  );
  if wanted.state = 'kept' and not pm_strength.is_there(wanted) then
    return jsonb_build_object('set_id', set_id, 'gone', true);
  end if;
  return page;
end
$$;
comment on function public.pm_strength_read_overrides(bigint, bigint, integer, text) is
  'A page of a module''s overrides with the run, its time and the settings; page_size 0 asks for those alone.';
revoke execute on function public.pm_strength_read_overrides(bigint, bigint, integer, text) from public, anon;
grant execute on function public.pm_strength_read_overrides(bigint, bigint, integer, text) to authenticated, service_role;
