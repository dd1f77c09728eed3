-- Plain trades: closed trades that are plainly right, which is nearly all of them, become events here, without being
-- sent to a worker and back. Python (pm_strength.capture) defines what becomes of a trade, and gets every trade that
-- is anything else: this only has to be sure. A test holds the two together.

create type pm_strength.plain_event as (
  strand_id text, trade_id uuid, module text, pattern_key text, action_category text, scope jsonb, rr double precision,
  pnl_usd double precision, rpnl_pct double precision, trimmed boolean, reached_s3 boolean, "timestamp" timestamptz,
  closed_by text, action_at timestamptz
);
comment on type pm_strength.plain_event is 'An event of a plain trade on its way into pattern_trade_events.';
revoke all on type pm_strength.plain_event from public;

-- Plain is a trade whose every strand is plain, which has one closing strand, an action that makes an event, at most
-- 300 strands, and no events yet. Plain is a strand with a content of at most 4,000 bytes that names no other trade;
-- numbers of at most 15 digits that every reader writes in the same way; texts without a backslash, which is how
-- jsonb writes a quote, a backslash or a control character; and times as RFC 3339 has them.
-- The locks are those of pm_strength_commit_trades. All is read before they are taken, so that several workers read at
-- the same time; whether a trade has events is looked up again when they are held.
-- Numbers beyond 1e15 are found before anything is written as text: jsonb stores 1e100000 in a few bytes.
-- "offset 0" and the planner settings make every look-up use its index, whatever the statistics say.
-- SECURITY DEFINER: reads the bot's table, and writes the queue.
create function public.pm_strength_capture_plain(msg_ids bigint[], strand_ids text[]) returns jsonb
language plpgsql security definer
set search_path = ''
set jit = off
set enable_seqscan = off
set enable_nestloop = off
set plan_cache_mode = force_custom_plan
set lock_timeout = '1500ms'
as $$
declare
  modules constant text[] := pm_strength.modules();
  most_strands constant integer := 300;
  subjects bigint[];
  subject_trades uuid[];
  trades uuid[];
  found pm_strength.plain_event[];
  captured text[];
  closes text[];
  plain_trades uuid[];
  done bigint[];
begin
  select array_agg(s.msg_id), array_agg(s.trade::uuid) into subjects, subject_trades
  from (
    select m.msg_id, coalesce(s.trade_id, s.plain_content ->> 'trade_id') as trade
    from unnest(msg_ids, strand_ids) m (msg_id, id)
    cross join lateral (
      select i.trade_id, i.plain_content from pm_strength.strands i
      where i.native_kind in ('pm_action', 'position_closed') and i.id_key = left(m.id, 500) and i.id = m.id
        and (i.kind = 'pm_action' or i.module = any (modules))
      offset 0
    ) s
  ) s
  where s.trade ~ '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$';
  trades := array(
    select s.trade from unnest(subject_trades) with ordinality s (trade, place) group by s.trade order by min(s.place)
  );

  with wanted as materialized (
    select t.id, t.id::text as name, replace(t.id::text, '-', '') as key, t.place
    from unnest(trades) with ordinality t (id, place)
    where not exists (select from public.pattern_trade_events e where e.trade_id = t.id offset 0)
  ), strands as materialized (
    select w.place, w.id as trade, s.id, s.native_id, s.kind = 'position_closed' as is_close, s.module, s.created_at,
      s.said_at, s.bytes, s.plain_content as doc,
      (s.trade_id is null or s.trade_id = w.name)
        and (s.plain_content ->> 'trade_id' is null or s.plain_content ->> 'trade_id' = w.name)
        and coalesce(jsonb_typeof(s.plain_content) = 'object', false) and s.said_at is not null and length(s.id) <= 500
        as plain
    from wanted w
    cross join lateral (
      (
        select i.* from pm_strength.strands i
        where i.column_key = w.key and (i.kind = 'pm_action' or i.module = any (modules))
        limit most_strands + 1
      )
      union all
      (
        select i.* from pm_strength.strands i
        where i.content_key = w.key and i.column_key is distinct from w.key
          and (i.kind = 'pm_action' or i.module = any (modules))
        limit most_strands + 1
      )
    ) s
  ), closes as materialized (
    select c.*, case when c.plain and c.has_summary then
      c.context_kind in ('object', 'null')
      and not jsonb_path_exists(
        c.summary, '$.** ? (@.type() == "number" && (@ > 1e15 || @ < -1e15 || (@ != 0 && @ < 1e-15 && @ > -1e-15)))'
      )
      and octet_length(c.summary::text) <= 1500
      and coalesce(jsonb_typeof(c.summary -> 'rr') = 'number', false) and length(c.summary ->> 'rr') <= 20
      and coalesce(jsonb_typeof(c.summary -> 'pnl_usd'), 'null') in ('number', 'null')
      and coalesce(length(c.summary ->> 'pnl_usd') <= 20, true)
      and coalesce(jsonb_typeof(c.summary -> 'rpnl_pct'), 'null') in ('number', 'null')
      and coalesce(length(c.summary ->> 'rpnl_pct') <= 20, true)
      and coalesce(jsonb_typeof(c.summary -> 'trimmed'), 'null') in ('boolean', 'null')
      and coalesce(jsonb_typeof(c.summary -> 'reached_s3'), 'null') in ('boolean', 'null')
      and coalesce(jsonb_typeof(c.summary -> 'exit_timestamp'), 'null') in ('string', 'null')
      and coalesce(
        c.summary ->> 'exit_timestamp' ~
          '^(19|20)[0-9]{2}-((0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])|(0[13-9]|1[0-2])-(29|30)|(0[13578]|1[02])-31)[T ]([01][0-9]|2[0-3])(:[0-5][0-9]){2}(\.[0-9]{1,6})?(Z|[+-](0[0-9]|1[0-4]):[0-5][0-9])?$',
        true
      )
    else false end as is_plain
    from (
      select s.*, s.doc -> 'trade_summary' as summary, coalesce(jsonb_typeof(s.doc -> 'trade_summary') = 'object', false) as has_summary,
        coalesce(jsonb_typeof(s.doc -> 'entry_context'), 'null') as context_kind,
        case when jsonb_typeof(s.doc -> 'entry_context') = 'object'
          then jsonb_strip_nulls(s.doc -> 'entry_context') else '{}'
        end as context
      from strands s
      where s.is_close
    ) c
  ), actions as materialized (
    select a.*, case
      when not a.plain then false
      when not a.makes_event then true
      else jsonb_typeof(a.doc -> 'pattern_key') = 'string' and length(a.pattern_key) between 1 and 500
        and jsonb_typeof(a.doc -> 'action_category') = 'string' and a.category is not null
        and coalesce(jsonb_typeof(a.doc -> 'scope'), 'null') in ('object', 'null')
        and a.written is not null and octet_length(a.written) <= 8000
        and a.written ~ '^\{("[^"\\]+": ("[^"\\]+"|true|false|-?[0-9]+(\.(0|[0-9]*[1-9]))?)(, )?)*\}$'
        -- a longer number, a longer text or key, more dimensions: where there is room for them
        and a.written !~ '[0-9.]{16}'
        and (octet_length(a.written) <= 205 or a.written !~ '"[^"]{201}')
        and (octet_length(a.written) <= 500 or jsonb_array_length(jsonb_path_query_array(a.scope, '$.*')) <= 64)
        and (a.bytes <= 2000 or octet_length((a.doc -> 'scope')::text) <= 8000)
    end as is_plain
    from (
      select m.*, case when not jsonb_path_exists(
        m.scope, '$.* ? (@.type() == "number" && (@ > 1e15 || @ < -1e15 || (@ != 0 && @ < 1e-15 && @ > -1e-15)))'
      ) then m.scope::text end as written
      from (
        select s.place, s.trade, s.id, s.native_id, s.created_at, s.said_at, s.bytes, s.doc,
          s.plain and c.is_plain as plain, c.id as close_id, c.said_at as closed_at, c.module as close_module, c.summary,
          s.doc ->> 'pattern_key' as pattern_key,
          s.doc ->> 'pattern_key' is not null and s.doc ->> 'action_category' is not null as makes_event,
          case
            when lower(s.doc ->> 'action_category' collate "C") in ('entry_immediate', 'e1', 'e2', 'entry', 'buy', 'rebuy')
              then 'entry'
            when lower(s.doc ->> 'action_category' collate "C") in ('add', 'scale_up') then 'add'
            when lower(s.doc ->> 'action_category' collate "C") in ('trim', 'partial_exit') then 'trim'
            when lower(s.doc ->> 'action_category' collate "C") in ('cut', 'emergency_exit', 'panic_exit', 'exit', 'sell')
              then 'exit'
          end as category,
          c.context || case when jsonb_typeof(s.doc -> 'scope') = 'object'
            then jsonb_strip_nulls(s.doc -> 'scope') else '{}'
          end as scope
        from strands s
        join closes c on c.place = s.place
        where not s.is_close
        offset 0
      ) m
      offset 0
    ) a
  ), plain as materialized (
    select a.place
    from actions a
    group by a.place
    -- an action is here once for each close
    having bool_and(coalesce(a.is_plain, false)) and count(distinct a.close_id) = 1 and count(*) < most_strands
      and bool_or(a.makes_event)
  )
  select array_agg(row(
    a.id, a.trade, a.close_module, a.pattern_key, a.category, a.scope,
    (a.summary ->> 'rr')::double precision, (a.summary ->> 'pnl_usd')::double precision,
    (a.summary ->> 'rpnl_pct')::double precision, (a.summary ->> 'trimmed')::boolean,
    (a.summary ->> 'reached_s3')::boolean,
    case
      when a.summary ->> 'exit_timestamp' is null then a.closed_at
      when a.summary ->> 'exit_timestamp' ~ '(Z|[+-][0-9]{2}:[0-9]{2})$' then (a.summary ->> 'exit_timestamp')::timestamptz
      else (a.summary ->> 'exit_timestamp')::timestamp at time zone 'UTC'
    end,
    a.close_id, a.said_at
  )::pm_strength.plain_event order by a.place, a.created_at, a.native_id)
  into found
  from plain p
  join actions a on a.place = p.place
  where a.makes_event;

  -- a mining run takes this lock exclusively, to know which events are committed
  perform pg_advisory_xact_lock_shared(hashtext('pm_strength.capture'));
  perform pg_advisory_xact_lock(hashtext('pm_strength.trade'), slots.slot)
  from (
    select distinct hashtext(f.trade_id::text) & 255 as slot from unnest(found) f order by 1
  ) slots;

  trades := array(
    select t.id from (select distinct f.trade_id as id from unnest(found) f) t
    where not exists (select from public.pattern_trade_events e where e.trade_id = t.id offset 0)
  );
  with added as (
    insert into public.pattern_trade_events (
      strand_id, trade_id, module, pattern_key, action_category, scope, rr, pnl_usd, rpnl_pct, trimmed,
      reached_s3, "timestamp", closed_by, action_at
    )
    select f.strand_id, f.trade_id, f.module, f.pattern_key, f.action_category, f.scope, f.rr, f.pnl_usd, f.rpnl_pct,
      f.trimmed, f.reached_s3, f."timestamp", f.closed_by, f.action_at
    from unnest(found) with ordinality f (
      strand_id, trade_id, module, pattern_key, action_category, scope, rr, pnl_usd, rpnl_pct, trimmed, reached_s3,
      "timestamp", closed_by, action_at, place
    )
    where f.trade_id = any (trades)
    order by f.place
    on conflict (strand_id) do nothing
    returning strand_id, trade_id, closed_by
  )
  select array_agg(a.strand_id), array_agg(distinct a.closed_by), array_agg(distinct a.trade_id)
  into captured, closes, plain_trades
  from added a;

  perform pm_strength.resolve_letters(captured, closes);
  done := array(
    select s.msg_id from unnest(subjects, subject_trades) s (msg_id, trade) where s.trade = any (plain_trades)
  );
  if cardinality(done) > 0 then
    perform pgmq.archive('pm_strength_trades', done);
  end if;
  return jsonb_build_object(
    'events', coalesce(cardinality(captured), 0), 'done', done, 'trades', coalesce(plain_trades, '{}')
  );
end
$$;
comment on function public.pm_strength_capture_plain(bigint[], text[]) is
  'Captures the trades of leased messages (msg_ids, and the strand of each) that are plainly right, and takes their messages off the queue: {events, done (msg_ids), trades}. The others are left to the worker.';
revoke execute on function public.pm_strength_capture_plain(bigint[], text[]) from public, anon, authenticated;
grant execute on function public.pm_strength_capture_plain(bigint[], text[]) to service_role;
