-- Capture: a batch of messages with all that their trades have, and one transaction to finish it.

-- Waits on the server until messages are due, then reads every strand of their trades and the
-- events these already have: one call a batch, however large. Content travels as text, because
-- the reader must see numbers as they were written. SECURITY DEFINER: reads the queue.
create function public.pm_strength_read_trades(
  batch_size integer, visibility_seconds integer, wait_seconds integer
) returns jsonb
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
    return jsonb_build_object('messages', '[]'::jsonb, 'strands', '[]'::jsonb, 'events', '[]'::jsonb);
  end if;

  select array_agg(distinct m -> 'message' ->> 'strand_id') into message_ids
  from jsonb_array_elements(messages) m;
  -- both keys, so that a strand whose two trade ids differ is seen by both trades
  select array_agg(distinct k.key) into keys
  from pm_strength.strands s
  cross join lateral (values (s.column_key), (s.content_key)) k (key)
  where s.kind in ('pm_action', 'position_closed') and s.id = any (message_ids)
    and k.key ~ '^[0-9a-f]{32}$';

  return jsonb_build_object(
    'messages', messages,
    'strands', (
      select coalesce(jsonb_agg(jsonb_build_object(
        'id', s.id, 'kind', s.kind, 'module', s.module, 'trade_id', s.trade_id,
        'created_at', s.created_at, 'content', s.content::text
      ) order by s.created_at, s.native_id), '[]')
      from pm_strength.strands s
      where s.kind in ('pm_action', 'position_closed')
        and (s.column_key = any (keys) or s.content_key = any (keys) or s.id = any (message_ids))
        and (s.kind = 'pm_action' or s.module = 'pm')
    ),
    'events', (
      select coalesce(jsonb_agg(to_jsonb(known)), '[]')
      from (
        select e.trade_id, array_agg(e.strand_id) as strand_ids,
          (array_agg(jsonb_build_object(
            'rr', e.rr, 'pnl_usd', e.pnl_usd, 'rpnl_pct', e.rpnl_pct, 'trimmed', e.trimmed,
            'reached_s3', e.reached_s3, 'timestamp', e."timestamp", 'closed_by', e.closed_by
          ) order by e.id))[1] as outcome
        from public.pattern_trade_events e
        where e.trade_id = any (keys::uuid[])
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
  captured text[];
  letter record;
  retry record;
begin
  -- mining takes this lock alone to know which events are committed
  perform pg_advisory_xact_lock_shared(hashtext('pm_strength.capture'));
  perform pg_advisory_xact_lock(hashtext('pm_strength.trade'), t.slot)
  from (
    select distinct hashtext(e.trade_id) & 255 as slot
    from jsonb_to_recordset(events) e (trade_id text)
    order by 1
  ) t;

  with added as (
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
    left join lateral (
      select k.* from public.pattern_trade_events k where k.trade_id = e.trade_id order by k.id limit 1
    ) known on true
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
    and (
      d.strand_id = any (captured)
      or (d.code = 'no_actions' and d.strand_id in (
        select e.closed_by from jsonb_to_recordset(events) e (closed_by text)
      ))
    );

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
