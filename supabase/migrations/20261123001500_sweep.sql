-- The sweep queues closed trades that have no message and no events, and actions that came too late.

-- Tells a close that still waits for its actions from one whose actions have come. Looks at the content last, as
-- it may be long. Like the sweep itself it must use the indexes: with a plan from when the tables were small it
-- compared every action with every event.
create function pm_strength.has_new_action(trade_key text) returns boolean
language plpgsql stable
set search_path = ''
set jit = off
set enable_seqscan = off
set plan_cache_mode = force_generic_plan
as $$
begin
  return exists (
    select
    from (
      select i.id, i.content from pm_strength.strands i where i.kind = 'pm_action' and i.column_key = trade_key
      union all
      select i.id, i.content from pm_strength.strands i
      where i.kind = 'pm_action' and i.content_key = trade_key and i.column_key is distinct from trade_key
      offset 0
    ) a
    -- one look-up each: for "exists" the planner may first read all events and dead letters into a hash
    where case
      when (select true from public.pattern_trade_events e where e.strand_id = a.id) then false
      when (
        select true from public.pm_dead_letters d
        where d.queue = 'pm_strength_trades' and hashtextextended(coalesce(d.strand_id, d.job), 0) = hashtextextended(a.id, 0)
          and coalesce(d.strand_id, d.job) = a.id
          and d.requeued_at is null and d.resolved_at is null
      ) then false
      else a.content ->> 'pattern_key' is not null and a.content ->> 'action_category' is not null
    end
  );
end
$$;
comment on function pm_strength.has_new_action(text) is
  'Whether a trade has an action that is neither an event nor a dead letter yet.';
revoke execute on function pm_strength.has_new_action(text) from public, anon, authenticated;

-- Looks at one page of strands of one kind, in order of id, at least one strand and about 8 MB of contents.
-- after_id of the answer is where to go on, null at the end. Without sorts and bitmaps it reads the page in the
-- order of the index and nothing beyond it; with a plan of its own for each call it compares many missed strands
-- with the queue by hash.
-- SECURITY DEFINER: reads and writes the queue.
create function public.pm_strength_sweep(kind text, after_id text, page_size integer) returns jsonb
language plpgsql security definer
set search_path = ''
set jit = off
set enable_seqscan = off
set enable_bitmapscan = off
set enable_sort = off
set plan_cache_mode = force_custom_plan
set lock_timeout = '1500ms'
as $$
declare
  max_bytes constant bigint := 8388608;
  modules constant text[] := pm_strength.modules();
  last_id text;
  missed text[];
begin
  if kind is null or kind not in ('position_closed', 'pm_action') then
    raise invalid_parameter_value using
      message = format('kind: expected position_closed or pm_action, got %s', kind);
  end if;

  with page as materialized (
    select p.*
    from (
      select b.*, sum(b.bytes) over (order by b.id_key) - b.bytes as bytes_before
      from (
        (
          select s.id, s.id_key, s.bytes, s.column_key, s.module, s.content from pm_strength.strands s
          where pm_strength_sweep.kind = 'position_closed' and s.native_kind = 'position_closed'
            and s.id_key > after_id collate "C"
          order by s.id_key
          limit page_size
        )
        union all
        (
          select s.id, s.id_key, s.bytes, s.column_key, s.module, s.content from pm_strength.strands s
          where pm_strength_sweep.kind = 'pm_action' and s.native_kind = 'pm_action'
            and s.id_key > after_id collate "C"
          order by s.id_key
          limit page_size
        )
      ) b
    ) p
    where p.bytes_before < max_bytes
  ), open_page as (
    select p.id, k.key, p.module, p.content, e.trade_id is not null as has_events, d.code as dead,
      coalesce((select true from public.pattern_trade_events own where own.strand_id = p.id), false) as is_event
    from page p
    cross join lateral (
      select coalesce(p.column_key, (
        select i.content_key from pm_strength.strands i
        where i.native_kind in ('pm_action', 'position_closed') and i.id_key = p.id_key and i.id = p.id
      )) as key
      offset 0
    ) k
    left join lateral (
      select i.trade_id from public.pattern_trade_events i
      where i.trade_id = case when k.key ~ '^[0-9a-f]{32}$' then k.key::uuid end
      limit 1
    ) e on true
    left join lateral (
      select i.code from public.pm_dead_letters i
      where i.queue = 'pm_strength_trades' and hashtextextended(coalesce(i.strand_id, i.job), 0) = hashtextextended(p.id, 0)
        and coalesce(i.strand_id, i.job) = p.id
        and i.requeued_at is null and i.resolved_at is null
      limit 1
    ) d on true
  ), found as (
    -- the contents, which may be long, are looked at last
    select o.id, o.key from open_page o
    where case
      when pm_strength_sweep.kind = 'position_closed' then case
        when o.module is null or o.module <> all (modules) or o.has_events then false
        when o.dead is null then true
        else o.dead = 'no_actions' and pm_strength.has_new_action(o.key)
      end
      when not o.has_events or o.is_event or o.dead is not null then false
      else o.content ->> 'pattern_key' is not null and o.content ->> 'action_category' is not null
    end
  )
  select (select max(p.id_key) from page p), (
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

-- A trade may be so large that the sweep cannot look at one of its strands within a call. The strand then becomes
-- a dead letter, and the sweep goes on behind it. Null where the trade is small: then something else slows the
-- database down. SECURITY DEFINER: reads the bot's table.
create function public.pm_strength_set_aside(kind text, after_id text) returns text
language plpgsql security definer
set search_path = ''
set jit = off
set enable_seqscan = off
set enable_bitmapscan = off
set enable_sort = off
as $$
declare
  next_id text;
  next_key text;
  weight jsonb;
begin
  if kind = 'position_closed' then
    select s.id, s.id_key into next_id, next_key from pm_strength.strands s
    where s.native_kind = 'position_closed' and s.id_key > after_id collate "C" order by s.id_key limit 1;
  else
    select s.id, s.id_key into next_id, next_key from pm_strength.strands s
    where s.native_kind = 'pm_action' and s.id_key > after_id collate "C" order by s.id_key limit 1;
  end if;
  weight := public.pm_strength_weigh_trade(next_id);
  if (weight ->> 'bytes')::bigint <= 8388608 then
    return null;
  end if;
  perform pm_strength.dead_letter(
    'pm_strength_trades', next_id, null, 'failed',
    format(
      'trade: expected strands that the sweep can look at in one call, got %s with %s MB on disk',
      weight ->> 'strands', round((weight ->> 'bytes')::numeric / 1048576, 1)
    ),
    jsonb_build_object('strand_id', next_id)
  );
  return next_key;
end
$$;
comment on function public.pm_strength_set_aside(text, text) is
  'Makes the next strand after after_id a dead letter if its trade is large; returns where to go on, or null.';
revoke execute on function public.pm_strength_set_aside(text, text) from public, anon, authenticated;
grant execute on function public.pm_strength_set_aside(text, text) to service_role;

-- Leaves strands alone that have a message. Where the message of a close waits for its next try although the
-- actions are there, the try is due now. "offset 0" makes the planner find the waiting messages first.
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
    where s.native_kind in ('pm_action', 'position_closed') and s.kind = 'position_closed'
      and s.id_key = left(w.strand_id, 500) and s.id = w.strand_id
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
