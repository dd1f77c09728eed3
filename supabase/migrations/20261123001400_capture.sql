-- Capture: one transaction finishes a batch of messages.

-- With no open letter, as is usual, no strand is looked up.
create function pm_strength.resolve_letters(captured text[], closes text[]) returns void
language plpgsql
set search_path = ''
set jit = off
set enable_seqscan = off
set plan_cache_mode = force_custom_plan
as $$
begin
  if not exists (
    select from public.pm_dead_letters d
    where d.requeued_at is null and d.resolved_at is null and d.queue = 'pm_strength_trades'
  ) then
    return;
  end if;
  update public.pm_dead_letters d set resolved_at = now()
  where d.id = any (array(
    select o.id
    from (
      select c.id, false as is_close from unnest(captured) c (id)
      union all
      select c.id, true from unnest(closes) c (id)
    ) l
    cross join lateral (
      select w.id, w.strand_id, w.code from public.pm_dead_letters w
      where w.requeued_at is null and w.resolved_at is null and w.queue = 'pm_strength_trades'
        and hashtextextended(coalesce(w.strand_id, w.job), 0) = hashtextextended(l.id, 0)
      offset 0
    ) o
    where o.strand_id = l.id and (not l.is_close or o.code in ('no_actions', 'failed'))
  ));
end
$$;
comment on function pm_strength.resolve_letters(text[], text[]) is
  'A strand that made an event is not a dead letter any more, nor is its close.';
revoke execute on function pm_strength.resolve_letters(text[], text[]) from public, anon, authenticated;
grant execute on function pm_strength.resolve_letters(text[], text[]) to service_role;

-- Repeating the call changes nothing: an event or an archived message is not taken twice, and a retry is sent
-- only for a message that is still there.
-- Two workers may have the same trade, if a lease ran out. The advisory locks (256 for all trades, taken in
-- order) make the second worker see the events of the first, and keep to their outcome.
-- SECURITY DEFINER: writes the queue.
create function public.pm_strength_commit_trades(
  events jsonb, done_ids bigint[], retries jsonb, dead jsonb
) returns jsonb
language plpgsql security definer
set search_path = ''
set jit = off
set enable_seqscan = off
set plan_cache_mode = force_custom_plan
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

  -- a mining run takes this lock exclusively, to know which events are committed
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
      strand_id, trade_id, module, pattern_key, action_category, scope, rr, pnl_usd, rpnl_pct, trimmed,
      reached_s3, "timestamp", closed_by, action_at
    )
    select e.strand_id, e.trade_id, coalesce(known.module, e.module, 'pm'), e.pattern_key, e.action_category, e.scope,
      coalesce(known.rr, e.rr),
      case when known.id is null then e.pnl_usd else known.pnl_usd end,
      case when known.id is null then e.rpnl_pct else known.rpnl_pct end,
      case when known.id is null then e.trimmed else known.trimmed end,
      case when known.id is null then e.reached_s3 else known.reached_s3 end,
      coalesce(known."timestamp", e."timestamp"),
      case when known.id is null then e.closed_by else known.closed_by end,
      e.action_at
    from jsonb_to_recordset(events) e (
      strand_id text, trade_id uuid, module text, pattern_key text, action_category text, scope jsonb,
      rr double precision, pnl_usd double precision, rpnl_pct double precision, trimmed boolean,
      reached_s3 boolean, "timestamp" timestamptz, closed_by text, action_at timestamptz
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
    perform pm_strength.dead_letter(
      'pm_strength_trades', letter.strand_id, null, letter.code, letter.reason, letter.message
    );
  end loop;

  perform pm_strength.resolve_letters(captured, closes);
  if cardinality(done_ids) > 0 then
    perform pgmq.archive('pm_strength_trades', done_ids);
  end if;
  return jsonb_build_object('events', coalesce(cardinality(captured), 0));
end
$$;
comment on function public.pm_strength_commit_trades(jsonb, bigint[], jsonb, jsonb) is
  'Writes events, archives and retries messages, and dead-letters bad strands, in one transaction.';
revoke execute on function public.pm_strength_commit_trades(jsonb, bigint[], jsonb, jsonb) from public, anon, authenticated;
grant execute on function public.pm_strength_commit_trades(jsonb, bigint[], jsonb, jsonb) to service_role;
