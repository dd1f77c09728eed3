-- The sweep: closed trades that have no message and no events, and actions that came too late.

-- Trades with an action that could be learned from and has not been. Used to tell a close that
-- still waits for its actions from one whose actions have come.
create function pm_strength.has_new_action(trade_key text) returns boolean
language sql stable
set search_path = ''
as $$
  select exists (
    select from pm_strength.strands a
    where a.kind = 'pm_action'
      and (a.column_key = trade_key or a.content_key = trade_key)
      and a.content ->> 'pattern_key' is not null
      and a.content ->> 'action_category' is not null
      and not exists (select from public.pattern_trade_events e where e.strand_id = a.id)
      and not exists (
        select from public.pm_dead_letters d
        where d.strand_id = a.id and d.requeued_at is null and d.resolved_at is null
      )
  )
$$;
comment on function pm_strength.has_new_action(text) is
  'Whether a trade has an action that is neither an event nor a dead letter yet.';
revoke execute on function pm_strength.has_new_action(text) from public, anon, authenticated;

-- One page of strands of one kind, in order of id; returns where to go on, null at the end.
-- SECURITY DEFINER: reads and writes the queue.
create function public.pm_strength_sweep(kind text, after_id text, page_size integer) returns jsonb
language plpgsql security definer
set search_path = ''
as $$
declare
  last_id text;
  missed text[];
begin
  if kind not in ('position_closed', 'pm_action') then
    raise invalid_parameter_value using
      message = format('kind: expected position_closed or pm_action, got %s', kind);
  end if;

  with page as (
    select s.id, coalesce(s.column_key, s.content_key) as key, s.module, s.content
    from pm_strength.strands s
    where s.kind = pm_strength_sweep.kind and s.id > after_id collate "C"
    order by s.id
    limit page_size
  ), open_page as (
    select p.id, p.key, p.module, e.trade_id is not null as has_events, d.code as dead,
      p.content ->> 'pattern_key' is not null and p.content ->> 'action_category' is not null as learnable,
      exists (select from public.pattern_trade_events own where own.strand_id = p.id) as is_event
    from page p
    left join lateral (
      select k.trade_id from public.pattern_trade_events k
      where k.trade_id = case when p.key ~ '^[0-9a-f]{32}$' then p.key::uuid end
      limit 1
    ) e on true
    left join public.pm_dead_letters d
      on d.queue = 'pm_strength_trades' and coalesce(d.strand_id, d.job) = p.id
      and d.requeued_at is null and d.resolved_at is null
  ), found as (
    select o.id, o.key from open_page o
    where case
      when pm_strength_sweep.kind = 'position_closed' then
        o.module = 'pm' and not o.has_events
        and (o.dead is null or (o.dead = 'no_actions' and pm_strength.has_new_action(o.key)))
      else o.learnable and o.has_events and not o.is_event and o.dead is null
    end
  )
  select (select max(p.id) from page p), (
    -- one message a trade is enough, its capture reads the whole trade
    select array_agg(distinct_trade.id) from (
      select min(f.id) as id from found f
      group by case when pm_strength_sweep.kind = 'pm_action' then f.key else f.id end
    ) distinct_trade
  )
  into last_id, missed;

  return jsonb_build_object('after_id', last_id, 'found', pm_strength.enqueue_missed(missed));
end
$$;
comment on function public.pm_strength_sweep(text, text, integer) is
  'Queues what the trigger missed in one page of closes or actions: {after_id, found}.';
revoke execute on function public.pm_strength_sweep(text, text, integer) from public, anon, authenticated;
grant execute on function public.pm_strength_sweep(text, text, integer) to service_role;

-- Those that have a message are left alone, but for a close that waits for its next try while its
-- actions are there: that try is due now. "offset 0" keeps the question to those that wait.
create function pm_strength.enqueue_missed(strand_ids text[]) returns integer
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
comment on function pm_strength.enqueue_missed(text[]) is
  'Queues strands that have no message yet; returns how many.';
revoke execute on function pm_strength.enqueue_missed(text[]) from public, anon, authenticated;

-- The sweep looks strands up by index, as capture does, whatever the planner knows of the tables: by a plan
-- from when they were small it compared every action with every event, or asked every closed trade whether
-- it has new actions, and ten thousand of them took longer than a call may. A plan of its own for each call
-- lets a page of missed strands be compared with the queue by hash.
alter function public.pm_strength_sweep(text, text, integer)
  set enable_seqscan = off set plan_cache_mode = force_custom_plan;
alter function pm_strength.has_new_action(text)
  set enable_seqscan = off set plan_cache_mode = force_custom_plan;
