-- Publishing: the switch from one set to the next, and the removal of old sets.

-- Locks the pointer, so two publishers take turns; checks that nothing newer is live, that the
-- set is based on what is live, and that no row was lost on the way; then moves the pointer.
create function public.pm_strength_publish_run(run_id bigint, active bigint, summary jsonb) returns text
language plpgsql
set search_path = ''
as $$
declare
  run public.learning_runs;
  staged pm_strength.staged_rows;
  live pm_strength.live_sets;
  target text;
begin
  select * into run from public.learning_runs r where r.id = pm_strength_publish_run.run_id for update;
  if run.status = 'succeeded' then
    return 'published';
  end if;
  perform pm_strength.assert_running(run_id);
  target := case run.kind when 'mine' then 'lessons' else 'overrides' end;
  select * into strict live from pm_strength.live_sets s where s.kind = target for update;
  select * into strict staged from pm_strength.staged_rows s where s.set_id = run.id;

  if live.set_id > run.id or live.run_id > coalesce(run.source_run_id, run.id) then
    perform public.pm_strength_fail_run(run.id, format('run %s was published first', live.set_id), 'superseded');
    return 'superseded';
  end if;
  if run.kind = 'mine' and staged.base_set_id <> live.set_id then
    -- An older run went live meanwhile: what this one carried over as retired is out of date.
    perform public.pm_strength_fail_run(
      run.id, format('run %s was published meanwhile; run again', live.set_id), 'superseded'
    );
    return 'outdated';
  end if;
  if staged.active <> pm_strength_publish_run.active then
    raise data_exception using message = format(
      'run %s staged %s rows of %s', run.id, staged.active, pm_strength_publish_run.active
    );
  end if;

  update pm_strength.live_sets s
  set set_id = run.id, run_id = coalesce(run.source_run_id, run.id), previous_set_id = live.set_id,
    published_at = clock_timestamp()
  where s.kind = target;
  update public.learning_runs r
  set status = 'succeeded', finished_at = clock_timestamp(),
    events = (summary ->> 'events')::bigint, trades = (summary ->> 'trades')::bigint,
    lessons = (summary ->> 'lessons')::bigint, overrides = (summary ->> 'overrides')::bigint,
    baseline = (summary ->> 'baseline')::double precision, warning = summary ->> 'warning'
  where r.id = run.id;
  return 'published';
end
$$;
comment on function public.pm_strength_publish_run(bigint, bigint, jsonb) is
  'Makes a run''s set the live one: published, superseded (a newer one is) or outdated (run again).';
revoke execute on function public.pm_strength_publish_run(bigint, bigint, jsonb) from public, anon, authenticated;
grant execute on function public.pm_strength_publish_run(bigint, bigint, jsonb) to service_role;

-- Rows of sets that nobody reads: neither live, nor the one before, nor being staged. A run that
-- has not staged or published for a day has no worker any more.
create function public.pm_strength_purge_sets(page_size integer) returns bigint
language plpgsql
set search_path = ''
as $$
declare
  removed bigint := 0;
  more bigint;
begin
  update public.learning_runs r
  set status = 'failed', error = 'its worker went away', finished_at = clock_timestamp()
  where r.status = 'running' and r.started_at < clock_timestamp() - interval '1 day';

  delete from pm_strength.lesson_sets l
  where l.id in (
    select o.id from pm_strength.lesson_sets o
    where o.set_id in (select pm_strength.dead_sets('lessons'))
    limit page_size
  );
  get diagnostics removed = row_count;
  delete from pm_strength.override_sets d
  where d.id in (
    select o.id from pm_strength.override_sets o
    where o.set_id in (select pm_strength.dead_sets('overrides'))
    limit page_size
  );
  get diagnostics more = row_count;
  if removed + more = 0 then
    delete from pm_strength.staged_rows s
    where s.set_id in (select pm_strength.dead_sets('lessons'))
      and s.set_id in (select pm_strength.dead_sets('overrides'));
  end if;
  return removed + more;
end
$$;
comment on function public.pm_strength_purge_sets(integer) is
  'Removes up to page_size rows of each kind that no reader can see; call until it returns 0.';
revoke execute on function public.pm_strength_purge_sets(integer) from public, anon, authenticated;
grant execute on function public.pm_strength_purge_sets(integer) to service_role;

create function pm_strength.dead_sets(kind text) returns setof bigint
language sql stable
set search_path = ''
as $$
  select s.set_id from pm_strength.staged_rows s
  where not exists (select from public.learning_runs r where r.id = s.set_id and r.status = 'running')
    and not exists (
      select from pm_strength.live_sets l
      where l.kind = dead_sets.kind and s.set_id in (l.set_id, l.previous_set_id)
    )
  union
  -- set 0: rows written by hand before the first run
  select 0 where not exists (
    select from pm_strength.live_sets l
    where l.kind = dead_sets.kind and 0 in (l.set_id, l.previous_set_id)
  )
$$;
comment on function pm_strength.dead_sets(text) is 'The sets whose rows no reader can see.';
revoke execute on function pm_strength.dead_sets(text) from public, anon, authenticated;
grant execute on function pm_strength.dead_sets(text) to service_role;
