-- The sweep looks strands up by index, as capture does, whatever the planner knows of the tables: by a plan
-- from when they were small it compared every action with every event, or asked every closed trade whether
-- it has new actions, and ten thousand of them took longer than a call may. A plan of its own for each call
-- lets a page of missed strands be compared with the queue by hash.
alter function public.pm_strength_sweep(text, text, integer)
  set enable_seqscan = off set plan_cache_mode = force_custom_plan;
alter function pm_strength.has_new_action(text)
  set enable_seqscan = off set plan_cache_mode = force_custom_plan;

-- Those that have a message are left alone, but for a close that waits for its next try while its
-- actions are there: that try is due now. "offset 0" keeps the question to those that wait.
create or replace function pm_strength.enqueue_missed(strand_ids text[]) returns integer
language plpgsql
set search_path = ''
as $$
declare
  waiting text[];
  messages jsonb[];
begin
  if strand_ids is null then
    return 0;
  end if;
  select array_agg(q.message ->> 'strand_id') into waiting
  from pgmq.q_pm_strength_trades q
  where q.message ->> 'strand_id' = any (strand_ids);

  perform pgmq.set_vt('pm_strength_trades', w.msg_id, 0)
  from (
    select q.msg_id, q.message ->> 'strand_id' as strand_id
    from pgmq.q_pm_strength_trades q
    where q.message ->> 'strand_id' = any (strand_ids)
      and q.message ? 'attempt' and q.vt > clock_timestamp()
    offset 0
  ) w
  cross join lateral (
    select coalesce(s.column_key, s.content_key) as key
    from pm_strength.strands s
    where s.kind = 'position_closed' and s.id = w.strand_id
    offset 0
  ) close
  where pm_strength.has_new_action(close.key);

  select array_agg(jsonb_build_object('strand_id', m.id)) into messages
  from unnest(strand_ids) m (id)
  where m.id <> all (coalesce(waiting, '{}'));
  if messages is null then
    return 0;
  end if;
  perform pgmq.send_batch('pm_strength_trades', messages);
  return cardinality(messages);
end
$$;
