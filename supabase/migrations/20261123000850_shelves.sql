-- Shelves: where the rows of sets are. All small sets share shelf 0, from which their rows are deleted. A set of
-- very many rows has a shelf of its own, if one is free: it is filled without the indexes that are slow to keep,
-- which are then made at once, and emptied by TRUNCATE. So an hourly run leaves nothing to vacuum, and tables stay as
-- large as the sets that are in use.
do $$
declare
  kind text;
begin
  foreach kind in array array['lessons', 'overrides'] loop
    for shelf in 0..8 loop
      execute format(
        'create table pm_strength.%1$I partition of pm_strength.%2$I for values from (%3$s) to (%4$s)',
        kind || '_' || shelf, kind, shelf::bigint << 49, (shelf + 1)::bigint << 49
      );
      execute format('comment on table pm_strength.%I is %L', kind || '_' || shelf, 'Shelf ' || shelf || ' of ' || kind || '.');
      execute format('alter table pm_strength.%I enable row level security', kind || '_' || shelf);
      execute format('revoke all on pm_strength.%I from anon, authenticated', kind || '_' || shelf);
      execute format('grant select on pm_strength.%I to authenticated', kind || '_' || shelf);
      execute format('grant all on pm_strength.%I to service_role', kind || '_' || shelf);
      execute format(
        'create policy %I on pm_strength.%I for select to authenticated using ((select pm_strength.may_read()))',
        kind || '_' || shelf || '_read', kind || '_' || shelf
      );
      -- An early vacuum keeps the shared shelves small. The others hold no dead rows, and are emptied within hours.
      execute format(
        'alter table pm_strength.%I set (%s)', kind || '_' || shelf,
        case shelf when 0 then 'autovacuum_vacuum_scale_factor = 0.05' else 'autovacuum_enabled = false' end
      );
    end loop;
  end loop;
  -- a lesson that is written by hand is in a set once, as a run's lessons are by the way they are found
  for shelf in 0..8 loop
    execute format(
      'create unique index %I on pm_strength.%I (
         (id >> 26), pattern_key, action_category, jsonb_hash_extended(scope_subset, 0), jsonb_hash_extended(scope_subset, 1)
       ) where by_hand', 'lessons_' || shelf || '_by_hand', 'lessons_' || shelf
    );
  end loop;
end
$$;
-- The order is for the rows of a set, a range of ids. The group is for readers that filter by pattern and action, the
-- scope for those that filter by what a scope contains.
create function pm_strength.shelf_indexes(kind text) returns table (index text)
language sql immutable
set search_path = ''
as $$
  select i.index
  from unnest(array['order', 'lead', 'group', 'scope']) i (index)
  where i.index <> 'lead' or kind = 'overrides'
$$;
comment on function pm_strength.shelf_indexes(text) is 'The indexes of a shelf.';
revoke execute on function pm_strength.shelf_indexes(text) from public, anon, authenticated;

-- Makes the first one that a shelf lacks.
create function pm_strength.make_index(kind text, shelf integer) returns text
language plpgsql
set search_path = ''
as $$
declare
  missing record;
  name text;
begin
  select * into missing
  from pm_strength.shelf_indexes(kind) i
  where to_regclass(format('pm_strength.%I', kind || '_' || shelf || '_' || i.index)) is null
  limit 1;
  name := kind || '_' || shelf;
  case missing.index
    when 'order' then
      execute format('create index %I on pm_strength.%I (id)', name || '_order', name);
    when 'lead' then
      execute format('create index %I on pm_strength.%I (lead)', name || '_lead', name);
    when 'group' then
      execute format('create index %I on pm_strength.%I (pattern_key, action_category)', name || '_group', name);
    when 'scope' then
      execute format('create index %I on pm_strength.%I using gin (scope_subset jsonb_path_ops)', name || '_scope', name);
    else
      null;
  end case;
  return missing.index;
end
$$;
comment on function pm_strength.make_index(text, integer) is 'Makes an index that a shelf lacks; returns its name, or null.';
revoke execute on function pm_strength.make_index(text, integer) from public, anon, authenticated;

do $$
declare
  kind text;
begin
  foreach kind in array array['lessons', 'overrides'] loop
    for shelf in 0..8 loop
      while pm_strength.make_index(kind, shelf) is not null loop
      end loop;
    end loop;
  end loop;
end
$$;

-- The overrides of a shelf with one of some leads. Asked for by its name, a shelf is looked up by the index on lead,
-- whatever the statistics say; all shelves together, or by their range of ids, would not always be.
do $do$
begin
  execute format(
    $function$
      create function pm_strength.overrides_by_lead(shelf integer, leads bigint[]) returns setof pm_strength.overrides
      language plpgsql stable
      set search_path = ''
      set jit = off
      set enable_seqscan = off
      set enable_bitmapscan = off
      set plan_cache_mode = force_generic_plan
      as $body$
      begin
        case shelf
          %s
          else null;
        end case;
      end
      $body$
    $function$,
    (
      select string_agg(format(
        'when %1$s then return query select o.* from pm_strength.overrides_%1$s o where o.lead = any (leads);', shelf
      ), E'\n          ' order by shelf)
      from generate_series(0, 8) shelf
    )
  );
end
$do$;
comment on function pm_strength.overrides_by_lead(integer, bigint[]) is 'The overrides of a shelf with one of some leads.';
revoke execute on function pm_strength.overrides_by_lead(integer, bigint[]) from public, anon;
grant execute on function pm_strength.overrides_by_lead(integer, bigint[]) to authenticated, service_role;

-- Which shelf a run's set is to have, before its first row. From so many rows on it gets one of its own: below that
-- deleting is fast. Its indexes are taken off, unless a reader is busy there, and made when it is filled. Above the
-- second number of rows making one would take too long for a call, so they are kept.
create function public.pm_strength_open_set(
  run_id bigint, row_count bigint, baseline double precision default null, large bigint default 50000,
  very_large bigint default 3000000
) returns bigint
language plpgsql security definer
set search_path = ''
as $$
declare
  target constant pm_strength.sets := pm_strength.staging_set(run_id);
  patience constant text := current_setting('lock_timeout');
  free integer := target.shelf;
  index text;
begin
  if row_count >= 33554432 then
    raise program_limit_exceeded using message = format('row_count: expected less than 33554432, got %s', row_count);
  end if;
  perform from pm_strength.sets s where s.id = target.id for update;
  if free = 0 and isempty(target.staged) and row_count >= large then
    perform pg_advisory_xact_lock(hashtext('pm_strength.shelves'));
    select shelf into free
    from generate_series(1, 8) shelf
    where not exists (
      select from pm_strength.sets s where s.kind = target.kind and s.shelf = shelf.shelf and s.emptied_at is null
    )
    order by shelf
    limit 1;
    if free is not null and row_count <= very_large then
      begin
        perform set_config('lock_timeout', '200ms', true);
        for index in select i.index from pm_strength.shelf_indexes(target.kind) i loop
          execute format('drop index if exists pm_strength.%I', target.kind || '_' || free || '_' || index);
        end loop;
        perform set_config('lock_timeout', patience, true);
      exception
        when lock_not_available then
          null;
      end;
    end if;
  end if;
  update pm_strength.sets s
  set shelf = coalesce(free, 0), next_row = expected.rows, expects = expected.rows
  from (
    -- of overrides as many as the lessons that there are now: those that are written by hand later wait for the
    -- next run
    select case when target.kind = 'lessons' then pm_strength_open_set.row_count else greatest((
      select b.next_row from pm_strength.sets b where b.id = target.base_set_id
    ), 1) end as rows
  ) expected
  where s.id = target.id and isempty(s.staged);
  if free > 0 and target.kind = 'overrides' then
    perform setval(format('pm_strength.%I', 'overrides_' || free || '_set')::regclass, target.id);
  end if;
  if baseline is not null then
    insert into pm_strength.run_constants (run_id, baseline, var_prior)
    values (run_id, baseline, coalesce(
      (target.settings ->> 'var_prior')::double precision,
      (pm_strength.default_settings() ->> 'var_prior')::double precision
    ))
    on conflict do nothing;
  end if;
  return (select s.expects from pm_strength.sets s where s.id = target.id);
end
$$;
comment on function public.pm_strength_open_set(bigint, bigint, double precision, bigint, bigint) is
  'Prepares the set of a running run for its rows, and gives it a shelf of its own if they are many; returns how many lessons are to be staged or looked at. With its owner''s rights: drops indexes.';
revoke execute on function public.pm_strength_open_set(bigint, bigint, double precision, bigint, bigint)
  from public, anon, authenticated;
grant execute on function public.pm_strength_open_set(bigint, bigint, double precision, bigint, bigint) to service_role;

-- An index a call, as each of a million rows may take seconds. At the end the planner is told that ids are in order,
-- so that a page of a view is read as a page, and not found by sorting all rows.
create function public.pm_strength_index_set(run_id bigint) returns text
language plpgsql security definer
set search_path = ''
set maintenance_work_mem = '256MB'
as $$
declare
  target constant pm_strength.sets := pm_strength.staging_set(run_id);
  index constant text := pm_strength.make_index(target.kind, target.shelf);
begin
  if index is null then
    execute format('analyze pm_strength.%I (id)', target.kind || '_' || target.shelf);
  end if;
  return index;
end
$$;
comment on function public.pm_strength_index_set(bigint) is
  'Makes the next index of the set of a running run; call until it returns null. With its owner''s rights: makes indexes.';
revoke execute on function public.pm_strength_index_set(bigint) from public, anon, authenticated;
grant execute on function public.pm_strength_index_set(bigint) to service_role;

-- Which set of overrides has a shelf is also the last value of a sequence. That of a sequence is seen at once, whatever
-- a call's snapshot: a reader of the past, whose set is dropped and emptied under its hands, learns of it there.
do $$
begin
  for shelf in 1..8 loop
    execute format('create sequence pm_strength.%I minvalue 0 start 0', 'overrides_' || shelf || '_set');
    execute format('revoke all on sequence pm_strength.%I from anon, authenticated', 'overrides_' || shelf || '_set');
  end loop;
end
$$;

create function pm_strength.is_there(found_set pm_strength.sets) returns boolean
language plpgsql security definer
set search_path = ''
as $$
declare
  holder bigint := found_set.id;
begin
  if found_set.shelf > 0 then
    execute format('select q.last_value from pm_strength.%I q', 'overrides_' || found_set.shelf || '_set') into holder;
  end if;
  return holder = found_set.id;
end
$$;
comment on function pm_strength.is_there(pm_strength.sets) is
  'Whether the overrides of a set are still there, after they were read. With its owner''s rights: reads sequences.';
revoke execute on function pm_strength.is_there(pm_strength.sets) from public, anon;
grant execute on function pm_strength.is_there(pm_strength.sets) to authenticated, service_role;

-- A reader that is busy there for longer than a moment is not waited for, and holds nobody else up: the next purge
-- tries again. So it does with a set that was live a moment ago.
create function pm_strength.empty_shelf(dropped pm_strength.sets) returns boolean
language plpgsql security definer
set search_path = ''
set lock_timeout = '200ms'
as $$
begin
  if dropped.shelf = 0 or dropped.replaced_at > clock_timestamp() - interval '1 second' then
    return false;
  end if;
  if dropped.kind = 'overrides' then
    perform setval(format('pm_strength.%I', 'overrides_' || dropped.shelf || '_set')::regclass, 0);
  end if;
  execute format('truncate pm_strength.%I', dropped.kind || '_' || dropped.shelf);
  update pm_strength.sets s set emptied_at = clock_timestamp() where s.id = dropped.id;
  return true;
exception
  when lock_not_available then
    return false;
end
$$;
comment on function pm_strength.empty_shelf(pm_strength.sets) is
  'Empties the shelf of a dropped set; false if a reader is busy there. With its owner''s rights: sets a sequence.';
revoke execute on function pm_strength.empty_shelf(pm_strength.sets) from public, anon, authenticated;
grant execute on function pm_strength.empty_shelf(pm_strength.sets) to service_role;
