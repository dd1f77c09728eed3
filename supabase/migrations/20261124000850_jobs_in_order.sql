-- A materialization waits for the mining that was queued before it, also where another worker is at
-- that: it would publish the overrides of the run before, and the new ones an hour later. And two that
-- ask for the same job at once get one. Both take the lock, which is held for a few statements.

create or replace function public.pm_strength_enqueue_job(job text, slot timestamptz default null) returns bigint
language plpgsql security definer
set search_path = ''
as $$
declare
  sent bigint;
begin
  if job is null or job not in ('sweep', 'mine', 'materialize') then
    raise invalid_parameter_value using
      message = format('job: expected sweep, mine or materialize, got %s', job);
  end if;
  perform pg_advisory_xact_lock(hashtext('pm_strength.jobs'));
  perform pgmq.archive('pm_strength_jobs', q.msg_id)
  from pgmq.q_pm_strength_jobs q
  where q.message ->> 'job' = pm_strength_enqueue_job.job and q.vt <= clock_timestamp();
  select id into sent
  from pgmq.send(
    'pm_strength_jobs', jsonb_build_object('job', job, 'module', 'pm', 'slot', slot)
  ) id;
  return sent;
end
$$;

create or replace function public.pm_strength_read_job(visibility_seconds integer) returns jsonb
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
      select from pgmq.q_pm_strength_jobs m where m.message ->> 'job' = 'mine' and m.msg_id < q.msg_id
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
