-- Repair after a restore. A dump may lack the queues, because with some versions of pgmq they belong to the
-- extension, or have them as another version made them. Strands still arrive then, as the trigger only warns.
-- Repair makes the queues again, and the sweep finds what they missed.

create function pm_strength.queue_exists(queue text) returns boolean
language sql stable
set search_path = ''
as $$
  select to_regclass(format('pgmq.%I', 'q_' || queue)) is not null
    and to_regclass(format('pgmq.%I', 'a_' || queue)) is not null
    and exists (select from pgmq.meta m where m.queue_name = queue)
$$;
comment on function pm_strength.queue_exists(text) is 'Whether a queue and its archive are there.';
revoke execute on function pm_strength.queue_exists(text) from public, anon, authenticated;

-- Tries the calls that fail where the tables have other columns than pgmq expects. No message has the number 0.
create function pm_strength.queue_fits(queue text) returns boolean
language plpgsql
set search_path = ''
as $$
begin
  perform pgmq.set_vt(queue, 0, 0);
  perform pgmq.archive(queue, 0::bigint);
  return true;
exception
  when datatype_mismatch or undefined_column then
    return false;
end
$$;
comment on function pm_strength.queue_fits(text) is 'Whether a queue has the columns that this version of pgmq expects.';
revoke execute on function pm_strength.queue_fits(text) from public, anon, authenticated;

-- SECURITY DEFINER: only the owner of the extension may create queues.
create function public.pm_strength_repair() returns jsonb
language plpgsql security definer
set search_path = ''
as $$
declare
  queue text;
  messages jsonb[];
  due timestamptz[];
  made text[] := array[]::text[];
begin
  foreach queue in array array['pm_strength_trades', 'pm_strength_jobs'] loop
    if not pm_strength.queue_exists(queue) then
      perform pgmq.create(queue);
      made := made || queue;
    elsif not pm_strength.queue_fits(queue) then
      -- keeps the messages that wait; the archive is not needed
      execute format('select array_agg(q.message), array_agg(q.vt) from pgmq.%I q', 'q_' || queue)
      into messages, due;
      perform pgmq.drop_queue(queue);
      perform pgmq.create(queue);
      perform pgmq.send(queue, w.message, greatest(0, extract(epoch from w.vt - clock_timestamp()))::integer)
      from unnest(messages, due) w (message, vt);
      made := made || queue;
    end if;
    execute format('alter table pgmq.%I enable row level security', 'q_' || queue);
    execute format('alter table pgmq.%I enable row level security', 'a_' || queue);
  end loop;
  return jsonb_build_object('queues_made', to_jsonb(made));
end
$$;
comment on function public.pm_strength_repair() is
  'Makes queues that are missing or do not fit this version of pgmq; then pm_strength_sweep finds what they missed.';
revoke execute on function public.pm_strength_repair() from public, anon, authenticated;
grant execute on function public.pm_strength_repair() to service_role;

-- For events that were written without action_at, or before their strand was there. A page follows the ids of
-- strands, in the order of both indexes. The planner settings leave look-ups by index alone, whatever the statistics
-- say. A wait for a lock ends before the call is cut.
-- SECURITY DEFINER: reads the bot's table.
create function public.pm_strength_fill_action_at(after_id text, page_size integer) returns jsonb
language plpgsql security definer
set search_path = ''
set jit = off
set enable_seqscan = off
set enable_bitmapscan = off
set enable_sort = off
set enable_hashjoin = off
set enable_mergejoin = off
set plan_cache_mode = force_custom_plan
set lock_timeout = '1500ms'
as $$
declare
  ids bigint[];
  times timestamptz[];
  last_key text;
  filled integer;
begin
  select max(p.key), array_agg(p.id), array_agg(p.said_at) into last_key, ids, times
  from (
    select e.id, e.key, (
      select min(s.said_at) from pm_strength.strands s
      where s.native_kind in ('pm_action', 'position_closed') and s.kind = 'pm_action'
        and s.id_key = e.key and s.id = e.strand_id
    ) as said_at
    from (
      select i.id, i.strand_id, left(i.strand_id, 500) collate "C" as key
      from public.pattern_trade_events i
      where i.action_at is null and left(i.strand_id, 500) collate "C" > after_id collate "C"
      order by left(i.strand_id, 500) collate "C"
      limit least(page_size, 20000)
    ) e
  ) p;

  update public.pattern_trade_events e set action_at = f.said_at
  from (select u.id, u.said_at from unnest(ids, times) u (id, said_at) where u.said_at is not null) f
  where e.id = f.id and e.action_at is null;
  get diagnostics filled = row_count;
  return jsonb_build_object('after_id', last_key, 'filled', filled);
end
$$;
comment on function public.pm_strength_fill_action_at(text, integer) is
  'Gives events that do not know when their action was taken the time of its strand, page by page: {after_id, filled}.';
revoke execute on function public.pm_strength_fill_action_at(text, integer) from public, anon, authenticated;
grant execute on function public.pm_strength_fill_action_at(text, integer) to service_role;
