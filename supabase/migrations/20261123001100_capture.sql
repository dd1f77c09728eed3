-- Capture: a batch of messages with all that their trades have, and one transaction to finish it.

-- Waits on the server until messages are due, then reads every strand of their trades and the
-- events these already have: one call a batch, however large. Content travels as text, because
-- the reader must see numbers as they were written; the answer is json, which is written as it goes,
-- where jsonb would first be built. SECURITY DEFINER: reads the queue.
create function public.pm_strength_read_trades(
  batch_size integer, visibility_seconds integer, wait_seconds integer
) returns json
language plpgsql security definer
set search_path = ''
as $$
declare
  messages jsonb;
  message_ids text[];
  keys text[];
begin
  if wait_seconds > 0 then
    select jsonb_agg(jsonb_build_object('msg_id', m.msg_id, 'message', m.message) order by m.msg_id)
    into messages
    from pgmq.read_with_poll('pm_strength_trades', visibility_seconds, batch_size, wait_seconds, 100) m;
  else
    select jsonb_agg(jsonb_build_object('msg_id', m.msg_id, 'message', m.message) order by m.msg_id)
    into messages
    from pgmq.read('pm_strength_trades', visibility_seconds, batch_size) m;
  end if;
  if messages is null then
    return json_build_object('messages', '[]'::json, 'strands', '[]'::json, 'events', '[]'::json);
  end if;

  select array_agg(distinct m -> 'message' ->> 'strand_id') into message_ids
  from jsonb_array_elements(messages) m;
  -- both keys, so that a strand whose two trade ids differ is seen by both trades
  select coalesce(array_agg(distinct k.key), '{}') into keys
  from unnest(message_ids) m (id)
  cross join lateral (
    select i.* from pm_strength.strands i
    where i.kind in ('pm_action', 'position_closed') and i.id = m.id offset 0
  ) s
  cross join lateral (values (s.column_key), (s.content_key)) k (key)
  where k.key ~ '^[0-9a-f]{32}$';

  return json_build_object(
    'messages', messages,
    'strands', (
      with found as (
        select s.* from unnest(keys) k (key)
        cross join lateral (
          select i.id, i.native_id, i.kind, i.module, i.trade_id, i.created_at, i.content
          from pm_strength.strands i where i.column_key = k.key offset 0
        ) s
        union all
        select s.* from unnest(keys) k (key)
        cross join lateral (
          select i.id, i.native_id, i.kind, i.module, i.trade_id, i.created_at, i.content
          from pm_strength.strands i
          where i.content_key = k.key and i.column_key is distinct from k.key offset 0
        ) s
        union all
        select s.* from unnest(message_ids) m (id)
        cross join lateral (
          select i.id, i.native_id, i.kind, i.module, i.trade_id, i.created_at, i.content
          from pm_strength.strands i
          where i.kind in ('pm_action', 'position_closed') and i.id = m.id offset 0
        ) s
      ), once as (
        select distinct on (f.created_at, f.native_id) f.* from found f
        where f.kind = 'pm_action' or f.module = 'pm'
        order by f.created_at, f.native_id
      )
      select coalesce(json_agg(json_build_object(
        'id', o.id, 'kind', o.kind, 'module', o.module, 'trade_id', o.trade_id,
        'created_at', o.created_at, 'content', o.content::text
      ) order by o.created_at, o.native_id), '[]')
      from once o
    ),
    'events', (
      select coalesce(json_agg(known), '[]')
      from (
        select e.trade_id, array_agg(e.strand_id) as strand_ids,
          (array_agg(jsonb_build_object(
            'rr', e.rr, 'pnl_usd', e.pnl_usd, 'rpnl_pct', e.rpnl_pct, 'trimmed', e.trimmed,
            'reached_s3', e.reached_s3, 'timestamp', e."timestamp", 'closed_by', e.closed_by
          ) order by e.id))[1] as outcome
        from unnest(keys::uuid[]) k (id)
        cross join lateral (
          select i.* from public.pattern_trade_events i where i.trade_id = k.id offset 0
        ) e
        group by e.trade_id
      ) known
    )
  );
end
$$;
comment on function public.pm_strength_read_trades(integer, integer, integer) is
  'Messages that are due, the strands of their trades in order of time, and the events they have.';
revoke execute on function public.pm_strength_read_trades(integer, integer, integer) from public, anon, authenticated;
grant execute on function public.pm_strength_read_trades(integer, integer, integer) to service_role;

-- Finishes a batch in one transaction: events in, messages off the queue, those to try again sent
-- with a delay, bad strands to the dead letters. Repeating it changes nothing: an event or an
-- archived message is not taken twice, and a retry is only sent for a message that is still there.
-- Two workers with the same trade (a lease that ran out) both bring its outcome; the advisory
-- locks (256 for all trades, taken in order) make the second see the first one's events and keep
-- to their outcome.
-- SECURITY DEFINER: writes the queue.
create function public.pm_strength_commit_trades(
  events jsonb, done_ids bigint[], retries jsonb, dead jsonb
) returns jsonb
language plpgsql security definer
set search_path = ''
as $$
declare
  trades uuid[];
  closes text[];
  captured text[];
  letter record;
  retry record;
begin
  select array_agg(distinct (e ->> 'trade_id')::uuid), array_agg(distinct e ->> 'closed_by')
  into trades, closes
  from jsonb_array_elements(events) e;

  -- mining takes this lock alone to know which events are committed
  perform pg_advisory_xact_lock_shared(hashtext('pm_strength.capture'));
  perform pg_advisory_xact_lock(hashtext('pm_strength.trade'), slots.slot)
  from (select distinct hashtext(t::text) & 255 as slot from unnest(trades) t order by 1) slots;

  with known as materialized (
    select distinct on (k.trade_id) k.*
    from unnest(trades) t (id)
    cross join lateral (
      select e.* from public.pattern_trade_events e where e.trade_id = t.id offset 0
    ) k
    order by k.trade_id, k.id
  ), added as (
    insert into public.pattern_trade_events (
      strand_id, trade_id, pattern_key, action_category, scope, rr, pnl_usd, rpnl_pct, trimmed,
      reached_s3, "timestamp", closed_by
    )
    select e.strand_id, e.trade_id, e.pattern_key, e.action_category, e.scope,
      coalesce(known.rr, e.rr),
      case when known.id is null then e.pnl_usd else known.pnl_usd end,
      case when known.id is null then e.rpnl_pct else known.rpnl_pct end,
      case when known.id is null then e.trimmed else known.trimmed end,
      case when known.id is null then e.reached_s3 else known.reached_s3 end,
      coalesce(known."timestamp", e."timestamp"),
      case when known.id is null then e.closed_by else known.closed_by end
    from jsonb_to_recordset(events) e (
      strand_id text, trade_id uuid, pattern_key text, action_category text, scope jsonb,
      rr double precision, pnl_usd double precision, rpnl_pct double precision, trimmed boolean,
      reached_s3 boolean, "timestamp" timestamptz, closed_by text
    )
    left join known on known.trade_id = e.trade_id
    on conflict (strand_id) do nothing
    returning strand_id
  )
  select array_agg(a.strand_id) into captured from added a;

  for retry in
    select r.msg_id, r.message, r.delay_seconds
    from jsonb_to_recordset(retries) r (msg_id bigint, message jsonb, delay_seconds integer)
  loop
    if pgmq.archive('pm_strength_trades', retry.msg_id) then
      perform pgmq.send('pm_strength_trades', retry.message, retry.delay_seconds);
    end if;
  end loop;

  for letter in
    select d.strand_id, d.code, d.reason, d.message
    from jsonb_to_recordset(dead) d (strand_id text, code text, reason text, message jsonb)
  loop
    perform pm_strength.bury(
      'pm_strength_trades', letter.strand_id, null, letter.code, letter.reason, letter.message
    );
  end loop;

  -- what was learned from after all is no dead letter any more, its close neither
  update public.pm_dead_letters d set resolved_at = now()
  where d.requeued_at is null and d.resolved_at is null and d.queue = 'pm_strength_trades'
    and (d.strand_id = any (captured) or (d.code = 'no_actions' and d.strand_id = any (closes)));

  if cardinality(done_ids) > 0 then
    perform pgmq.archive('pm_strength_trades', done_ids);
  end if;
  return jsonb_build_object('events', coalesce(cardinality(captured), 0));
end
$$;
comment on function public.pm_strength_commit_trades(jsonb, bigint[], jsonb, jsonb) is
  'Writes events, archives and retries messages, and buries bad strands, in one transaction.';
revoke execute on function public.pm_strength_commit_trades(jsonb, bigint[], jsonb, jsonb) from public, anon, authenticated;
grant execute on function public.pm_strength_commit_trades(jsonb, bigint[], jsonb, jsonb) to service_role;

-- Both functions look up hundreds of trades by index: "offset 0" keeps each lookup one by one, and
-- these settings keep it on the index. While a table is small, or its statistics are from when it
-- was, the planner would rather read all of it, which takes longer with every strand.
alter function public.pm_strength_commit_trades(jsonb, bigint[], jsonb, jsonb)
  set enable_seqscan = off set plan_cache_mode = force_custom_plan;
alter function public.pm_strength_read_trades(integer, integer, integer)
  set enable_seqscan = off set plan_cache_mode = force_custom_plan;
