-- Jobs that are due at once are queued in the order in which they build on each other: sweep, mine,
-- materialize. The order of the table's rows, which it was before, changes with every update.
create or replace function public.pm_strength_enqueue_due(at timestamptz default clock_timestamp())
returns integer
language plpgsql security definer
set search_path = ''
as $$
declare
  due record;
  queued integer := 0;
begin
  for due in
    with claimed as (
      update pm_strength.schedule s
      set last_slot = pm_strength.slot(s.every, s.past, at)
      where s.last_slot < pm_strength.slot(s.every, s.past, at)
      returning s.job, s.last_slot
    )
    select c.job, c.last_slot from claimed c
    order by array_position(array['sweep', 'mine', 'materialize'], c.job)
  loop
    perform public.pm_strength_enqueue_job(due.job, due.last_slot);
    queued := queued + 1;
  end loop;
  return queued;
end
$$;
