-- Learning settings: one row a module, every key checked when it is written.

create function pm_strength.default_settings() returns jsonb
language sql immutable
set search_path = ''
as $$
  select jsonb_build_object(
    'profile', 'source',
    'n_min', 33,
    'var_prior', 0.25,
    'edge_threshold', 0.05,
    'multiplier_min', 0.3,
    'multiplier_max', 3.0,
    'specificity_alpha', 1.5,
    'strategy', 'blend',
    'outcome', 'rr',
    'scope_dims', null,
    'max_dims', 3,
    'max_lessons', 1000000,
    'stale_after_hours', 24,
    'guarded_n_min', 20,
    'evidence_min', 10,
    'tau', 0.2,
    'gain', 2,
    'drift_alarm', 20,
    'max_change', null,
    'max_added_exposure', null,
    'ae_multipliers', false,
    'gate', false,
    'shadow_profile', null,
    'canary_share', 0
  )
$$;
comment on function pm_strength.default_settings() is 'Every setting with its default.';
revoke execute on function pm_strength.default_settings() from public, anon;
grant execute on function pm_strength.default_settings() to authenticated, service_role;

-- Compares numbers as numeric, which also catches those that a double cannot hold (1e999, 1e-999). The upper
-- bounds keep what is computed from a valid setting within a double, an integer or a timestamp.
-- `settings.cases.json` holds Python to the same.
create function pm_strength.setting_error(key text, value jsonb) returns text
language plpgsql immutable
set search_path = ''
as $$
declare
  kind constant text := jsonb_typeof(value);
  number constant numeric := case when kind = 'number' then (value #>> '{}')::numeric end;
  finite constant boolean := coalesce(number = 0 or abs(number) between 5e-324 and 1.7976931348623157e308, false);
  whole constant boolean := finite and number = trunc(number);
  expected text;
begin
  case key
    when 'n_min', 'max_lessons' then
      if not (whole and number between 1 and 2147483647) then expected := 'an integer from 1 to 2147483647'; end if;
    when 'max_dims' then
      if not (kind = 'null' or (whole and number between 0 and 2147483647)) then
        expected := 'null or an integer from 0 to 2147483647';
      end if;
    when 'var_prior', 'edge_threshold' then
      if not (finite and number >= 0) then expected := 'a finite number >= 0'; end if;
    when 'specificity_alpha' then
      if not (finite and number between 0 and 100) then expected := 'a number from 0 to 100'; end if;
    when 'multiplier_min' then
      if not (finite and number between 0 and 1) then expected := 'a number from 0 to 1'; end if;
    when 'multiplier_max' then
      if not (finite and number >= 1) then expected := 'a finite number >= 1'; end if;
    when 'stale_after_hours' then
      if not (finite and number > 0 and number <= 8760000) then expected := 'a number > 0 and <= 8760000'; end if;
    when 'strategy' then
      if value not in ('"blend"', '"most_specific"', '"sum"') then
        expected := '"blend", "most_specific" or "sum"';
      end if;
    when 'profile' then
      if value not in ('"source"', '"guarded"') then expected := '"source" or "guarded"'; end if;
    when 'shadow_profile' then
      if value not in ('null', '"source"', '"guarded"') then expected := 'null, "source" or "guarded"'; end if;
    when 'guarded_n_min' then
      if not (whole and number between 2 and 2147483647) then expected := 'an integer from 2 to 2147483647'; end if;
    when 'evidence_min' then
      if not (finite and number between 1 and 1000000) then expected := 'a number from 1 to 1000000'; end if;
    when 'drift_alarm' then
      if not (kind = 'null' or (finite and number between 1 and 1000000)) then
        expected := 'null or a number from 1 to 1000000';
      end if;
    when 'max_change' then
      if not (kind = 'null' or (finite and number between 0.001 and 1000000)) then
        expected := 'null or a number from 0.001 to 1000000';
      end if;
    when 'max_added_exposure' then
      if not (kind = 'null' or (finite and number between 0 and 1000000)) then
        expected := 'null or a number from 0 to 1000000';
      end if;
    when 'tau' then
      if not (finite and number between 0.001 and 10) then expected := 'a number from 0.001 to 10'; end if;
    when 'gain' then
      if not (finite and number between 0 and 100) then expected := 'a number from 0 to 100'; end if;
    when 'canary_share' then
      if not (finite and number between 0 and 1) then expected := 'a number from 0 to 1'; end if;
    when 'ae_multipliers', 'gate' then
      if kind <> 'boolean' then expected := 'true or false'; end if;
    when 'outcome' then
      if value not in ('"rr"', '"roi"', '"pnl_usd"') then expected := '"rr", "roi" or "pnl_usd"'; end if;
    when 'scope_dims' then
      if not (kind = 'null' or (kind = 'array' and not exists (
        select from jsonb_array_elements(case when kind = 'array' then value else '[]' end) item
        where jsonb_typeof(item) <> 'string' or item = '""'
      ))) then
        expected := 'null or a list of dimension names';
      end if;
    else
      return format('%s: unknown setting; expected one of %s', key, (
        select string_agg(name, ', ' order by name)
        from jsonb_object_keys(pm_strength.default_settings()) name
      ));
  end case;
  if expected is null then
    return null;
  end if;
  return format('%s: expected %s, got %s', key, expected, left(value::text, 100));
end
$$;
comment on function pm_strength.setting_error(text, jsonb) is
  'What is wrong with this value of this setting, naming the key; null if nothing is.';
revoke execute on function pm_strength.setting_error(text, jsonb) from public, anon;
grant execute on function pm_strength.setting_error(text, jsonb) to authenticated, service_role;

create function pm_strength.settings_error(settings jsonb) returns text
language plpgsql immutable
set search_path = ''
as $$
declare
  entry record;
  problem text;
begin
  if jsonb_typeof(settings) is distinct from 'object' then
    return 'settings: expected a JSON object';
  end if;
  for entry in select key, value from jsonb_each(settings) order by key loop
    problem := pm_strength.setting_error(entry.key, entry.value);
    if problem is not null then
      return problem;
    end if;
  end loop;
  return null;
end
$$;
comment on function pm_strength.settings_error(jsonb) is
  'The first thing wrong with a settings object, naming the key; null if it is valid.';
revoke execute on function pm_strength.settings_error(jsonb) from public, anon;
grant execute on function pm_strength.settings_error(jsonb) to authenticated, service_role;

-- Raises, because the error of a CHECK that is false would not name the key.
create function pm_strength.assert_settings(settings jsonb) returns boolean
language plpgsql immutable
set search_path = ''
as $$
declare
  problem constant text := pm_strength.settings_error(settings);
begin
  if problem is not null then
    raise check_violation using message = problem, constraint = 'learning_settings_valid';
  end if;
  return true;
end
$$;
comment on function pm_strength.assert_settings(jsonb) is 'True, or an error that names the bad key.';
revoke execute on function pm_strength.assert_settings(jsonb) from public, anon;
grant execute on function pm_strength.assert_settings(jsonb) to authenticated, service_role;

-- The overrides of one profile are not made for the strategy of another, and outlive a change of the setting
-- until the next run: so the setting counts for its own profile alone.
create function pm_strength.strategy_of(settings jsonb, profile text) returns text
language sql immutable
set search_path = ''
as $$
  select case
    when profile is null or profile = settings ->> 'profile' then settings ->> 'strategy'
    when profile = 'guarded' then 'sum'
    else 'blend'
  end
$$;
comment on function pm_strength.strategy_of(jsonb, text) is
  'The strategy for overrides of a profile, by all settings of a module.';
revoke execute on function pm_strength.strategy_of(jsonb, text) from public, anon;
grant execute on function pm_strength.strategy_of(jsonb, text) to authenticated, service_role;

-- All settings of a row: its own over the defaults. Where no strategy is set, it is the profile's.
create function pm_strength.complete_settings(held jsonb) returns jsonb
language sql immutable
set search_path = ''
as $$
  select case
    when held is null or pm_strength.settings_error(held) is not null then pm_strength.default_settings()
    when held ->> 'profile' = 'guarded' then pm_strength.default_settings() || '{"strategy": "sum"}' || held
    else pm_strength.default_settings() || held
  end
$$;
comment on function pm_strength.complete_settings(jsonb) is
  'All settings of a row of learning_settings; the defaults where it is null or invalid.';
revoke execute on function pm_strength.complete_settings(jsonb) from public, anon;
grant execute on function pm_strength.complete_settings(jsonb) to authenticated, service_role;

create table public.learning_settings (
  module text primary key,
  settings jsonb not null default '{}',
  updated_at timestamptz not null default now(),
  -- completed once, when they are written: that takes a quarter of the time of an answer
  in_force jsonb generated always as (pm_strength.complete_settings(settings)) stored,
  constraint learning_settings_module check (length(module) between 1 and 100),
  constraint learning_settings_valid check (pm_strength.assert_settings(settings))
);
comment on table public.learning_settings is
  'How each module learns and sizes. Keys that are not set take their defaults.';
comment on column public.learning_settings.module is 'The module, such as pm; a module with a row here is learned for.';
comment on column public.learning_settings.settings is
  'The keys and defaults are those of pm_strength.default_settings(); keys that are not set take their defaults.';
comment on column public.learning_settings.updated_at is 'When the row was last written.';
comment on column public.learning_settings.in_force is 'All settings: those that are set, over the defaults; made from settings.';

alter table public.learning_settings enable row level security;
revoke all on public.learning_settings from anon, authenticated;
grant select on public.learning_settings to authenticated;
grant all on public.learning_settings to service_role;
create policy learning_settings_read on public.learning_settings
  for select to authenticated using ((select pm_strength.may_read()));

-- What was in force at a time can be told for every time since, so that a decision can be replayed.
create table pm_strength.settings_history (
  id bigint generated always as identity primary key,
  module text not null,
  settings jsonb not null,
  valid_from timestamptz not null default clock_timestamp()
);
comment on table pm_strength.settings_history is 'What a module''s row of learning_settings held, from when on.';
comment on column pm_strength.settings_history.module is 'The module.';
comment on column pm_strength.settings_history.settings is 'The settings of its row; {} once the row is gone.';
comment on column pm_strength.settings_history.valid_from is 'From when on.';
create index settings_history_module on pm_strength.settings_history (module, valid_from, id);

alter table pm_strength.settings_history enable row level security;
revoke all on sequence pm_strength.settings_history_id_seq from anon, authenticated;
revoke all on pm_strength.settings_history from anon, authenticated;
grant select on pm_strength.settings_history to authenticated;
grant all on pm_strength.settings_history to service_role;
create policy settings_history_read on pm_strength.settings_history
  for select to authenticated using ((select pm_strength.may_read()));

-- SECURITY DEFINER: whoever may change settings need not be allowed to write their history.
create function pm_strength.keep_settings() returns trigger
language plpgsql security definer
set search_path = ''
as $$
begin
  if tg_op = 'UPDATE' and old.module <> new.module or tg_op = 'DELETE' then
    insert into pm_strength.settings_history (module, settings) values (old.module, '{}');
  end if;
  if tg_op <> 'DELETE' then
    insert into pm_strength.settings_history (module, settings) values (new.module, new.settings);
  end if;
  return null;
end
$$;
comment on function pm_strength.keep_settings() is 'Writes each change of learning_settings to its history.';
revoke execute on function pm_strength.keep_settings() from public, anon, authenticated, service_role;
create trigger keep_settings after insert or update or delete on public.learning_settings
for each row execute function pm_strength.keep_settings();

insert into public.learning_settings (module) values ('pm');

create function pm_strength.modules() returns text[]
language sql stable
set search_path = ''
as $$
  select array_agg(m.module order by m.module)
  from (select 'pm' as module union select s.module from public.learning_settings s) m
$$;
comment on function pm_strength.modules() is 'The modules that are learned for: pm, and those with settings.';
revoke execute on function pm_strength.modules() from public, anon, authenticated;
grant execute on function pm_strength.modules() to service_role;

create function pm_strength.assert_module(module text) returns void
language plpgsql stable
set search_path = ''
as $$
begin
  if module is null or module <> all (pm_strength.modules()) then
    raise invalid_parameter_value using
      message = format('module: expected one of %s, got %s', array_to_string(pm_strength.modules(), ', '), left(module, 100)),
      hint = 'A module is learned for once it has a row in learning_settings.';
  end if;
end
$$;
comment on function pm_strength.assert_module(text) is 'Raises unless the module is learned for.';
revoke execute on function pm_strength.assert_module(text) from public, anon, authenticated;
grant execute on function pm_strength.assert_module(text) to service_role;

-- A resolver uses the row's settings over the defaults. Where the row is invalid, it uses the defaults alone:
-- such a row can only have come past the check, as by a restore.
create function pm_strength.effective_settings(module text) returns jsonb
language plpgsql stable
set search_path = ''
as $$
begin
  return coalesce(
    (select row.in_force from public.learning_settings row where row.module = effective_settings.module),
    pm_strength.default_settings()
  );
end
$$;
comment on function pm_strength.effective_settings(text) is
  'All settings of a module; the defaults where its row is missing or invalid.';
revoke execute on function pm_strength.effective_settings(text) from public, anon;
grant execute on function pm_strength.effective_settings(text) to authenticated, service_role;
