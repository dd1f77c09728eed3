-- The schedule: a due slot becomes one job message, whoever asks first.

create table pm_strength.schedule (
  job text primary key,
  every interval not null,
  past interval not null,
  last_slot timestamptz not null,
  constraint schedule_job check (job in ('sweep', 'mine', 'materialize'))
);
comment on table pm_strength.schedule is 'When each job is due (UTC), and the last slot that was queued.';
comment on column pm_strength.schedule.job is 'What to do.';
comment on column pm_strength.schedule.every is 'How often.';
comment on column pm_strength.schedule.past is 'How long after the full hour, or the full five minutes.';
comment on column pm_strength.schedule.last_slot is 'The newest slot that was queued.';
alter table pm_strength.schedule enable row level security;
revoke all on pm_strength.schedule from anon, authenticated;
grant all on pm_strength.schedule to service_role;

create function pm_strength.slot(every interval, past interval, at timestamptz) returns timestamptz
language sql immutable
set search_path = ''
as $$
  select date_bin(every, at - past, timestamptz '2000-01-01 00:00:00+00') + past
$$;
comment on function pm_strength.slot(interval, interval, timestamptz) is 'The newest slot that is not in the future.';
revoke execute on function pm_strength.slot(interval, interval, timestamptz) from public, anon, authenticated;
grant execute on function pm_strength.slot(interval, interval, timestamptz) to service_role;

insert into pm_strength.schedule (job, every, past, last_slot)
select s.job, s.every, s.past, pm_strength.slot(s.every, s.past, now())
from (
  values
    ('sweep', interval '5 minutes', interval '2 minutes'),
    ('mine', interval '1 hour', interval '8 minutes'),
    ('materialize', interval '1 hour', interval '10 minutes')
) s (job, every, past);

-- Replaces a job of the same kind and module that still waits: after an outage of the workers there is one job to
-- do, not one for every hour missed. The lock makes two callers who ask at once get one job. A sweep is for all
-- modules.
-- SECURITY DEFINER: writes the queue.
create function public.pm_strength_enqueue_job(
  job text, slot timestamptz default null, module text default 'pm'
) returns bigint
language plpgsql security definer
set search_path = ''
as $$
declare
  of_module constant text := case when job <> 'sweep' then module end;
  sent bigint;
begin
  if job is null or job not in ('sweep', 'mine', 'materialize') then
    raise invalid_parameter_value using
      message = format('job: expected sweep, mine or materialize, got %s', job);
  end if;
  perform pm_strength.assert_module(module);
  perform pg_advisory_xact_lock(hashtext('pm_strength.jobs'));
  perform pgmq.archive('pm_strength_jobs', q.msg_id)
  from pgmq.q_pm_strength_jobs q
  where q.message ->> 'job' = pm_strength_enqueue_job.job and q.vt <= clock_timestamp()
    and q.message ->> 'module' is not distinct from of_module;
  select id into sent
  from pgmq.send(
    'pm_strength_jobs', jsonb_build_object('job', job, 'module', of_module, 'slot', slot)
  ) id;
  return sent;
end
$$;
comment on function public.pm_strength_enqueue_job(text, timestamptz, text) is
  'Queues a sweep, or a mine or materialize job of a module, in place of one that still waits; returns its message.';
revoke execute on function public.pm_strength_enqueue_job(text, timestamptz, text) from public, anon, authenticated;
grant execute on function public.pm_strength_enqueue_job(text, timestamptz, text) to service_role;

-- Any number of workers and crons may call this at once: updating the row of a job claims its slot. Jobs are
-- queued in the order in which they build on each other. SECURITY DEFINER: a cron needs the right to call this,
-- and no other.
create function public.pm_strength_enqueue_due(at timestamptz default clock_timestamp())
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
    select c.job, c.last_slot, m.module
    from claimed c
    join unnest(pm_strength.modules()) m (module) on c.job <> 'sweep' or m.module = 'pm'
    order by array_position(array['sweep', 'mine', 'materialize'], c.job), m.module
  loop
    perform public.pm_strength_enqueue_job(due.job, due.last_slot, due.module);
    queued := queued + 1;
  end loop;
  return queued;
end
$$;
comment on function public.pm_strength_enqueue_due(timestamptz) is
  'Queues the newest slot of every job that is due and not queued yet, for each module; returns how many.';
revoke execute on function public.pm_strength_enqueue_due(timestamptz) from public, anon, authenticated;
grant execute on function public.pm_strength_enqueue_due(timestamptz) to service_role;

-- A materialization waits for the mining of its module that was queued before it, even if another worker does
-- that: else it would use the lessons of the run before, and the new ones would wait for an hour. SECURITY
-- DEFINER: reads the queue.
create function public.pm_strength_read_job(visibility_seconds integer) returns jsonb
language plpgsql security definer
set search_path = ''
as $$
declare
  next jsonb;
begin
  perform public.pm_strength_enqueue_due();
  perform pg_advisory_xact_lock(hashtext('pm_strength.jobs'));
  select q.message into next
  from pgmq.q_pm_strength_jobs q
  where q.vt <= clock_timestamp()
    and not (q.message ->> 'job' = 'materialize' and exists (
      select from pgmq.q_pm_strength_jobs m
      where m.message ->> 'job' = 'mine' and m.message -> 'module' = q.message -> 'module' and m.msg_id < q.msg_id
    ))
  order by q.msg_id
  limit 1;
  return (
    select jsonb_build_object('msg_id', m.msg_id, 'read_ct', m.read_ct, 'message', m.message)
    from pgmq.read('pm_strength_jobs', visibility_seconds, 1, next) m
    where next is not null
  );
end
$$;
comment on function public.pm_strength_read_job(integer) is
  'Queues what is due, then reads one job: {msg_id, read_ct, message}; null if none may begin now.';
revoke execute on function public.pm_strength_read_job(integer) from public, anon, authenticated;
grant execute on function public.pm_strength_read_job(integer) to service_role;
