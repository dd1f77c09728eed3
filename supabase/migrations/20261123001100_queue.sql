-- The queues (pgmq) and the dead letters, with our own wrappers: the API needs no switch in a
-- dashboard, and the wrappers are what the worker has rights on, not the queues.

select pgmq.create('pm_strength_trades');
select pgmq.create('pm_strength_jobs');
alter table pgmq.q_pm_strength_trades enable row level security;
alter table pgmq.a_pm_strength_trades enable row level security;
alter table pgmq.q_pm_strength_jobs enable row level security;
alter table pgmq.a_pm_strength_jobs enable row level security;

create table public.pm_dead_letters (
  id bigint generated always as identity primary key,
  queue text not null,
  -- byte for byte, as pm_strength.strands has it
  strand_id text collate "C",
  job text collate "C",
  code text not null,
  reason text not null,
  message jsonb not null,
  created_at timestamptz not null default now(),
  requeued_at timestamptz,
  resolved_at timestamptz,
  constraint pm_dead_letters_code check (code in ('bad_strand', 'no_actions', 'failed')),
  constraint pm_dead_letters_subject check ((strand_id is null) <> (job is null))
);
comment on table public.pm_dead_letters is
  'What could not be processed, with the reason. Open while neither requeued_at nor resolved_at is set.';
comment on column public.pm_dead_letters.id is 'The dead letter.';
comment on column public.pm_dead_letters.queue is 'The queue that the message came from.';
comment on column public.pm_dead_letters.strand_id is 'The strand at fault.';
comment on column public.pm_dead_letters.job is 'The job at fault.';
comment on column public.pm_dead_letters.code is
  'bad_strand (a field is wrong), no_actions (a trade without actions) or failed (processing broke).';
comment on column public.pm_dead_letters.reason is 'What is wrong, beginning with the field.';
comment on column public.pm_dead_letters.message is 'The message, as requeue sends it again.';
comment on column public.pm_dead_letters.created_at is 'When it was put here.';
comment on column public.pm_dead_letters.requeued_at is 'When it was sent again.';
comment on column public.pm_dead_letters.resolved_at is 'When the strand was learned from after all.';

-- An id may be too long for a btree entry, so the index holds 128 bits of its hash.
create unique index pm_dead_letters_open on public.pm_dead_letters (
  queue, hashtextextended(coalesce(strand_id, job), 0), hashtextextended(coalesce(strand_id, job), 1)
)
where requeued_at is null and resolved_at is null;

alter table public.pm_dead_letters enable row level security;
revoke all on sequence public.pm_dead_letters_id_seq from anon, authenticated;
revoke all on public.pm_dead_letters from anon, authenticated;
grant all on public.pm_dead_letters to service_role;

-- The functions below are SECURITY DEFINER because service_role has no rights in pgmq, and
-- granting them would open every other queue of the project to it.

create function pm_strength.assert_queue(queue text) returns void
language plpgsql immutable
set search_path = ''
as $$
begin
  if queue is null or queue not in ('pm_strength_trades', 'pm_strength_jobs') then
    raise invalid_parameter_value using
      message = format('queue: expected pm_strength_trades or pm_strength_jobs, got %s', queue);
  end if;
end
$$;
comment on function pm_strength.assert_queue(text) is 'Raises unless the queue is one of ours.';
revoke execute on function pm_strength.assert_queue(text) from public, anon, authenticated;
grant execute on function pm_strength.assert_queue(text) to service_role;

create function public.pm_strength_extend(queue text, msg_ids bigint[], visibility_seconds integer)
returns integer
language plpgsql security definer
set search_path = ''
as $$
declare
  extended integer;
begin
  perform pm_strength.assert_queue(queue);
  select count(*) into extended
  from unnest(msg_ids) wanted (msg_id)
  cross join lateral pgmq.set_vt(queue, wanted.msg_id, visibility_seconds) message;
  return extended;
end
$$;
comment on function public.pm_strength_extend(text, bigint[], integer) is
  'Keeps messages invisible for longer; returns how many are still there.';
revoke execute on function public.pm_strength_extend(text, bigint[], integer) from public, anon, authenticated;
grant execute on function public.pm_strength_extend(text, bigint[], integer) to service_role;

create function public.pm_strength_archive(queue text, msg_ids bigint[]) returns integer
language plpgsql security definer
set search_path = ''
as $$
declare
  archived integer;
begin
  perform pm_strength.assert_queue(queue);
  select count(*) into archived from pgmq.archive(queue, msg_ids);
  return archived;
end
$$;
comment on function public.pm_strength_archive(text, bigint[]) is
  'Takes messages that are done off the queue; returns how many were there.';
revoke execute on function public.pm_strength_archive(text, bigint[]) from public, anon, authenticated;
grant execute on function public.pm_strength_archive(text, bigint[]) to service_role;

-- A strand or job has one open dead letter at most: a second one renews the reason of the first.
create function pm_strength.dead_letter(
  queue text, strand_id text, job text, code text, reason text, message jsonb
) returns void
language sql
set search_path = ''
as $$
  insert into public.pm_dead_letters (queue, strand_id, job, code, reason, message)
  values (queue, strand_id, job, code, left(reason, 2000), message)
  on conflict (
    queue, hashtextextended(coalesce(strand_id, job), 0), hashtextextended(coalesce(strand_id, job), 1)
  ) where requeued_at is null and resolved_at is null
  do update set code = excluded.code, reason = excluded.reason, created_at = now()
$$;
comment on function pm_strength.dead_letter(text, text, text, text, text, jsonb) is
  'Writes or renews the open dead letter of a strand or job.';
revoke execute on function pm_strength.dead_letter(text, text, text, text, text, jsonb) from public, anon, authenticated;
grant execute on function pm_strength.dead_letter(text, text, text, text, text, jsonb) to service_role;

create function public.pm_strength_dead_letter(queue text, msg_id bigint, reason text) returns boolean
language plpgsql security definer
set search_path = ''
as $$
declare
  body jsonb;
  subject text;
begin
  perform pm_strength.assert_queue(queue);
  execute format('select q.message from pgmq.%I q where q.msg_id = $1', 'q_' || queue)
  into strict body using msg_id;
  subject := case when jsonb_typeof(body -> 'strand_id') = 'string' then body ->> 'strand_id' end;
  perform pm_strength.dead_letter(
    queue, subject, case when subject is null then coalesce(body ->> 'job', '?') end,
    'failed', reason, coalesce(body, 'null')
  );
  perform pgmq.archive(queue, msg_id);
  return true;
exception when no_data_found then
  return false;
end
$$;
comment on function public.pm_strength_dead_letter(text, bigint, text) is
  'Moves one message to the dead letters with its reason; false if it is gone.';
revoke execute on function public.pm_strength_dead_letter(text, bigint, text) from public, anon, authenticated;
grant execute on function public.pm_strength_dead_letter(text, bigint, text) to service_role;

create function public.pm_strength_requeue(letter_ids bigint[] default null) returns integer
language plpgsql security definer
set search_path = ''
as $$
declare
  letters record;
  sent integer := 0;
begin
  for letters in
    with again as (
      update public.pm_dead_letters d set requeued_at = now()
      where d.requeued_at is null and d.resolved_at is null
        and (letter_ids is null or d.id = any (letter_ids))
      returning d.queue, d.message
    )
    select a.queue, array_agg(a.message) as messages from again a group by a.queue
  loop
    perform pgmq.send_batch(letters.queue, letters.messages);
    sent := sent + cardinality(letters.messages);
  end loop;
  return sent;
end
$$;
comment on function public.pm_strength_requeue(bigint[]) is
  'Sends the open dead letters with these ids again, or all of them if letter_ids is null; returns how many.';
revoke execute on function public.pm_strength_requeue(bigint[]) from public, anon, authenticated;
grant execute on function public.pm_strength_requeue(bigint[]) to service_role;

create function public.pm_strength_queue_status() returns jsonb
language plpgsql stable security definer
set search_path = ''
as $$
declare
  name text;
  depth bigint;
  due bigint;
  oldest double precision;
  queues jsonb := '[]'::jsonb;
begin
  foreach name in array array['pm_strength_trades', 'pm_strength_jobs'] loop
    execute format(
      'select count(*), count(*) filter (where vt <= clock_timestamp()),
         extract(epoch from clock_timestamp() - min(enqueued_at))
       from pgmq.%I', 'q_' || name
    ) into depth, due, oldest;
    queues := queues || jsonb_build_object(
      'queue', name, 'depth', depth, 'due', due, 'oldest_age_seconds', oldest
    );
  end loop;
  return jsonb_build_object(
    'now', clock_timestamp(),
    'queues', queues,
    'dead_letters', (
      select count(*) from public.pm_dead_letters d where d.requeued_at is null and d.resolved_at is null
    )
  );
end
$$;
comment on function public.pm_strength_queue_status() is
  'Depth, due messages and oldest age (seconds) of each queue, the open dead letters, and the database''s clock.';
revoke execute on function public.pm_strength_queue_status() from public, anon, authenticated;
grant execute on function public.pm_strength_queue_status() to service_role;
