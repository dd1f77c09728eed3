-- Publishing: the switch from one set to the next, and the removal of old sets.

-- Two publishers of the same module and kind take turns. Checks that nothing newer is live, that the set is
-- based on what is live, and that nothing was lost on the way; then the set goes live. The planner settings keep
-- it from reading all lessons to see that none is left.
create function public.pm_strength_publish_run(run_id bigint, active bigint, summary jsonb) returns text
language plpgsql
set search_path = ''
set jit = off
set enable_seqscan = off
set enable_bitmapscan = off
as $$
declare
  run public.learning_runs;
  staged pm_strength.sets;
  live pm_strength.sets;
  base pm_strength.sets;
begin
  select * into run from public.learning_runs r where r.id = pm_strength_publish_run.run_id for update;
  if run.status = 'succeeded' then
    return 'published';
  elsif run.status = 'superseded' then
    return 'superseded';
  end if;
  staged := pm_strength.staging_set(run_id);
  select s.* into staged from pm_strength.sets s where s.id = staged.id for update;
  perform pg_advisory_xact_lock(hashtext('pm_strength.publish'), hashtext(staged.module || staged.kind || staged.role));
  live := pm_strength.live_set(staged.module, staged.kind, staged.role);

  if live.pinned then
    perform public.pm_strength_fail_run(
      run.id, format('set %s is pinned: `pm-strength overrides unpin` lets runs publish again', live.id), 'superseded'
    );
    return 'pinned';
  end if;
  -- after a rollback an older set is live: whatever was learned since is newer
  if live.run_id > run.id or live.mining_run_id > staged.mining_run_id then
    perform public.pm_strength_fail_run(run.id, format('run %s was published first', live.run_id), 'superseded');
    return 'superseded';
  end if;
  if run.kind = 'mine' then
    if staged.base_set_id is distinct from live.id then
      -- An older run went live meanwhile: what this one carried over as retired is out of date.
      perform public.pm_strength_fail_run(
        run.id, format('run %s was published meanwhile; run again', live.run_id), 'superseded'
      );
      return 'outdated';
    end if;
    if staged.row_count is distinct from pm_strength_publish_run.active then
      raise data_exception using message = format(
        'run %s staged %s rows of %s', run.id, staged.row_count, pm_strength_publish_run.active
      );
    end if;
  else
    select * into base from pm_strength.sets s where s.id = staged.base_set_id for share;
    if base.state is distinct from 'live' and base.state is distinct from 'kept' then
      perform public.pm_strength_fail_run(run.id, 'its lessons were replaced meanwhile; run again', 'superseded');
      return 'outdated';
    end if;
    if (staged.settings ->> 'max_change') is not null and staged.previous_set_id is distinct from live.id then
      perform public.pm_strength_fail_run(
        run.id, 'other overrides were published meanwhile, from which max_change counts; run again', 'superseded'
      );
      return 'outdated';
    end if;
    -- a lesson that was written by hand meanwhile waits for the next run
    if staged.expects is null or not staged.staged @> int8range(0, staged.expects) then
      raise data_exception using message = format('run %s has not made the overrides of all lessons', run.id);
    end if;
  end if;

  update pm_strength.sets s
  set exposure_scale = coalesce((summary ->> 'exposure_scale')::double precision, 1)
  where s.id = staged.id;
  perform pm_strength.switch_live(staged, false);
  update public.learning_runs r
  set status = 'succeeded', finished_at = clock_timestamp(),
    events = (summary ->> 'events')::bigint, trades = (summary ->> 'trades')::bigint,
    lessons = case run.kind when 'mine' then staged.row_count else base.row_count end,
    overrides = case run.kind when 'materialize' then staged.row_count end,
    baseline = (summary ->> 'baseline')::double precision, warning = summary ->> 'warning'
  where r.id = run.id;
  return 'published';
end
$$;
comment on function public.pm_strength_publish_run(bigint, bigint, jsonb) is
  'Makes a run''s set the live one: published, superseded (a newer one is) or outdated (run again).';
revoke execute on function public.pm_strength_publish_run(bigint, bigint, jsonb) from public, anon, authenticated;
grant execute on function public.pm_strength_publish_run(bigint, bigint, jsonb) to service_role;

-- Drops what no reader asks for: what a run that ended has staged, and of the sets that were live before those
-- that are over the limits of pm_retention. A run that has not ended for a day has no worker any more. One that
-- a call is busy with is left for the next time.
create function pm_strength.drop_sets() returns void
language plpgsql
set search_path = ''
as $$
begin
  update public.learning_runs r
  set status = 'failed', error = 'its worker went away', finished_at = clock_timestamp()
  where r.status = 'running' and r.started_at < clock_timestamp() - interval '1 day';

  update pm_strength.sets d
  set state = 'dropped', dropped_at = clock_timestamp()
  from (
    select s.id from pm_strength.sets s
    where (s.state = 'staging' and not exists (
      select from public.learning_runs r where r.id = s.run_id and r.status = 'running'
    ))
    for update of s skip locked
  ) old
  where d.id = old.id;

  update pm_strength.sets d
  set state = 'dropped', dropped_at = clock_timestamp()
  from (
    select s.id from pm_strength.sets s
    join (
      select k.id,
        row_number() over replaced as place,
        sum(k.row_count) over (replaced rows between unbounded preceding and current row) as rows_so_far
      from pm_strength.sets k
      where k.state = 'kept'
      window replaced as (partition by k.module, k.kind, k.role order by k.replaced_at desc, k.id desc)
    ) kept using (id)
    join pm_strength.keep_sets() limits on limits.kind = s.kind
    -- the newest is kept whatever the limits: a reader may be in the middle of it
    where s.state = 'kept' and kept.place > 1 and (
      kept.place > limits.keep_sets or kept.rows_so_far > limits.keep_rows or s.replaced_at < limits.kept_since
    )
    for update of s skip locked
  ) old
  where d.id = old.id;
end
$$;
comment on function pm_strength.drop_sets() is 'Drops the sets that no reader asks for.';
revoke execute on function pm_strength.drop_sets() from public, anon, authenticated;
grant execute on function pm_strength.drop_sets() to service_role;

-- Two callers at once remove different rows: one that waited for the other would find the rows of its page gone,
-- and take the set for empty.
create function public.pm_strength_purge_sets(page_size integer) returns bigint
language plpgsql
set search_path = ''
set jit = off
set enable_seqscan = off
set enable_bitmapscan = off
as $$
declare
  dropped pm_strength.sets;
  removed bigint := 0;
  more bigint;
begin
  perform pm_strength.drop_sets();
  for dropped in select s.* from pm_strength.sets s where s.state = 'dropped' and s.emptied_at is null loop
    exit when removed >= page_size;
    if dropped.shelf > 0 then
      perform pm_strength.empty_shelf(dropped);
      continue;
    elsif dropped.kind = 'lessons' then
      delete from pm_strength.lessons d
      where d.id in (
        select l.id from pm_strength.lessons l
        where l.id >= dropped.first_id and l.id < dropped.first_id + 67108864
        order by l.id
        limit page_size - removed
        for update skip locked
      );
    else
      delete from pm_strength.overrides d
      where d.id in (
        select o.id from pm_strength.overrides o
        where o.id >= dropped.first_id and o.id < dropped.first_id + 67108864
        order by o.id
        limit page_size - removed
        for update skip locked
      );
    end if;
    get diagnostics more = row_count;
    removed := removed + more;
    if more = 0 then
      update pm_strength.sets s set emptied_at = clock_timestamp()
      where s.id = dropped.id
        and not exists (
          select from pm_strength.lessons l
          where dropped.kind = 'lessons' and l.id >= dropped.first_id and l.id < dropped.first_id + 67108864
        )
        and not exists (
          select from pm_strength.overrides o
          where dropped.kind = 'overrides' and o.id >= dropped.first_id and o.id < dropped.first_id + 67108864
        );
    end if;
  end loop;
  return removed;
end
$$;
comment on function public.pm_strength_purge_sets(integer) is
  'Drops the sets that no reader asks for, and removes up to page_size of their rows; call until it returns 0.';
revoke execute on function public.pm_strength_purge_sets(integer) from public, anon, authenticated;
grant execute on function public.pm_strength_purge_sets(integer) to service_role;
