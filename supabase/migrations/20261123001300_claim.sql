-- Claiming: a worker leases messages, and reads all strands of their trades.

-- Reading the trades is a call of its own: if a trade cannot be read, the worker still has its message, and sets
-- it aside alone.
-- SECURITY DEFINER: reads the queue.
create function public.pm_strength_claim_trades(
  batch_size integer, visibility_seconds integer, wait_seconds integer
) returns json
language plpgsql security definer
set search_path = ''
as $$
declare
  messages json;
begin
  if wait_seconds > 0 then
    select json_agg(json_build_object('msg_id', m.msg_id, 'message', m.message) order by m.msg_id)
    into messages
    from pgmq.read_with_poll('pm_strength_trades', visibility_seconds, batch_size, wait_seconds, 100) m;
  else
    select json_agg(json_build_object('msg_id', m.msg_id, 'message', m.message) order by m.msg_id)
    into messages
    from pgmq.read('pm_strength_trades', visibility_seconds, batch_size) m;
  end if;
  return coalesce(messages, '[]');
end
$$;
comment on function public.pm_strength_claim_trades(integer, integer, integer) is
  'Leases messages that are due: [{msg_id, message}], after waiting for some up to wait_seconds.';
revoke execute on function public.pm_strength_claim_trades(integer, integer, integer) from public, anon, authenticated;
grant execute on function public.pm_strength_claim_trades(integer, integer, integer) to service_role;

-- A page ends before the trade that would take it over max_bytes, on disk or as text. "read" says how many of
-- the strands it got to, at least one. Sizes on disk come first: they are known without unpacking anything.
-- Of a content only the fields that capture needs are read, as text, so that the reader sees numbers as they
-- were written. A content is null where these fields are over 1 MB. The answer is json, because jsonb would
-- first be built in memory. SECURITY DEFINER: reads the bot's table.
-- "offset 0" and the planner settings make every look-up use its index. With statistics from when a table was
-- small the planner would read the whole table, which takes longer with every strand. jit is off because a plan
-- that the settings make "costly" would be compiled, which takes longer than the call. A wait for a lock ends
-- before the call is cut, so that it can be told from a trade that takes too long to read.
create function public.pm_strength_read_trades(strand_ids text[], max_bytes bigint default 8388608) returns json
language plpgsql stable security definer
set search_path = ''
set jit = off
set enable_seqscan = off
set plan_cache_mode = force_custom_plan
set lock_timeout = '1500ms'
as $$
declare
  modules constant text[] := pm_strength.modules();
  reach bigint;
  keys text[];
  places bigint[];
  found json;
begin
  select max(t.place) filter (where t.place = 1 or t.total <= max_bytes) into reach
  from (
    select m.place, sum(coalesce(s.bytes, 0)) over (order by m.place) as total
    from unnest(strand_ids) with ordinality m (id, place)
    left join lateral (
      select i.bytes from pm_strength.strands i
      where i.native_kind in ('pm_action', 'position_closed') and i.id_key = left(m.id, 500) and i.id = m.id offset 0
    ) s on true
  ) t;
  if reach is null then
    return json_build_object('read', 0, 'strands', '[]'::json, 'events', '[]'::json);
  end if;

  -- both keys: a strand whose two trade ids differ is seen with both trades
  select coalesce(array_agg(k.key), '{}'), coalesce(array_agg(k.place), '{}') into keys, places
  from (
    select t.key, min(m.place) as place
    from unnest(strand_ids[:reach]) with ordinality m (id, place)
    cross join lateral (
      select i.column_key, i.content_key from pm_strength.strands i
      where i.native_kind in ('pm_action', 'position_closed') and i.id_key = left(m.id, 500) and i.id = m.id offset 0
    ) s
    cross join lateral (values (s.column_key), (s.content_key)) t (key)
    where t.key ~ '^[0-9a-f]{32}$'
    group by t.key
  ) k;

  with looked_up as (
    select k.place, s.* from unnest(keys, places) k (key, place)
    cross join lateral (
      select i.id, i.native_id, i.kind, i.module, i.trade_id, i.created_at, i.bytes, i.short_object, i.content
      from pm_strength.strands i where i.column_key = k.key offset 0
    ) s
    union all
    select k.place, s.* from unnest(keys, places) k (key, place)
    cross join lateral (
      select i.id, i.native_id, i.kind, i.module, i.trade_id, i.created_at, i.bytes, i.short_object, i.content
      from pm_strength.strands i
      where i.content_key = k.key and i.column_key is distinct from k.key offset 0
    ) s
    union all
    select m.place, s.* from unnest(strand_ids[:reach]) with ordinality m (id, place)
    cross join lateral (
      select i.id, i.native_id, i.kind, i.module, i.trade_id, i.created_at, i.bytes, i.short_object, i.content
      from pm_strength.strands i
      where i.native_kind in ('pm_action', 'position_closed') and i.id_key = left(m.id, 500) and i.id = m.id offset 0
    ) s
  ), once as materialized (
    select distinct on (f.created_at, f.native_id) f.*
    from looked_up f
    where f.kind = 'pm_action' or f.module = any (modules)
    order by f.created_at, f.native_id, f.place
  ), on_disk as (
    select coalesce(max(t.place) filter (where t.total <= max_bytes), 1) as reach
    from (
      select n.place, sum(coalesce(o.bytes, 0)) over (order by n.place) as total
      from generate_series(1, reach) n (place)
      left join (select place, sum(bytes) as bytes from once group by place) o on o.place = n.place
    ) t
  ), written as materialized (
    select o.id, o.native_id, o.kind, o.module, o.trade_id, o.created_at, o.place,
      -- the text also holds keys and short fields, so it may be a little longer than 1 MB
      case when octet_length(w.content) <= 1048576 or (octet_length(w.content) <= 1064960 and (
        select sum(octet_length(f.field::text)) <= 1048576
        from (values (d.doc -> 'trade_summary'), (d.doc -> 'entry_context'), (d.doc -> 'scope')) f (field)
      )) then w.content end as content
    from once o
    cross join on_disk
    cross join lateral (
      select case when o.short_object then o.content else pm_strength.needed(o.content) end as doc
      offset 0
    ) d
    cross join lateral (
      select case
        when not o.short_object and d.doc ->> 'too_long' is not null then null
        when o.short_object or d.doc is not null then
          case o.kind
            when 'position_closed' then json_build_object(
              'trade_id', d.doc -> 'trade_id', 'trade_summary', d.doc -> 'trade_summary',
              'entry_context', d.doc -> 'entry_context'
            )
            else json_build_object(
              'trade_id', d.doc -> 'trade_id', 'pattern_key', d.doc -> 'pattern_key',
              'action_category', d.doc -> 'action_category', 'scope', case
                -- without both it makes no event, however long its scope is
                when d.doc ->> 'pattern_key' is not null and d.doc ->> 'action_category' is not null
                  then d.doc -> 'scope'
              end
            )
          end::text
        else coalesce(to_json(left(o.content #>> '{}', 60))::text, 'null')
      end as content
      offset 0
    ) w
    where o.place <= on_disk.reach
  ), as_text as (
    select coalesce(max(t.place) filter (where t.total <= max_bytes), 1) as reach
    from (
      select n.place, sum(coalesce(w.bytes, 0)) over (order by n.place) as total
      from on_disk
      cross join lateral generate_series(1, on_disk.reach) n (place)
      left join (
        select place, sum(octet_length(content)) as bytes from written group by place
      ) w on w.place = n.place
    ) t
  )
  select json_build_object(
    'read', (select a.reach from as_text a),
    'strands', (
      select coalesce(json_agg(json_build_object(
        'id', w.id, 'kind', w.kind, 'module', w.module, 'trade_id', w.trade_id, 'created_at', w.created_at,
        'content', w.content
      ) order by w.created_at, w.native_id), '[]')
      from written w
      where w.place <= (select a.reach from as_text a)
    ),
    'events', (
      select coalesce(json_agg(known), '[]')
      from (
        select e.trade_id, array_agg(e.strand_id) as strand_ids,
          (array_agg(jsonb_build_object(
            'rr', e.rr, 'pnl_usd', e.pnl_usd, 'rpnl_pct', e.rpnl_pct, 'trimmed', e.trimmed,
            'reached_s3', e.reached_s3, 'timestamp', e."timestamp", 'closed_by', e.closed_by,
            'module', e.module
          ) order by e.id))[1] as outcome
        from unnest(keys::uuid[], places) k (id, place)
        cross join lateral (
          select i.* from public.pattern_trade_events i where i.trade_id = k.id offset 0
        ) e
        where k.place <= (select a.reach from as_text a)
        group by e.trade_id
      ) known
    )
  ) into found;
  return found;
end
$$;
comment on function public.pm_strength_read_trades(text[], bigint) is
  'The strands of the trades of these strands in order of time, and the events they have: {read, strands, events}.';
revoke execute on function public.pm_strength_read_trades(text[], bigint) from public, anon, authenticated;
grant execute on function public.pm_strength_read_trades(text[], bigint) to service_role;

-- For the dead letter of a message that cannot be read. Unpacks nothing, so that it always has an answer; of a
-- trade that only the contents name it counts the close alone. SECURITY DEFINER: reads the bot's table.
create function public.pm_strength_weigh_trade(strand_id text) returns jsonb
language sql stable security definer
set search_path = ''
set jit = off
set enable_seqscan = off
as $$
  select jsonb_build_object('strands', count(*), 'bytes', coalesce(sum(a.bytes), 0))
  from (
    select s.id, s.bytes from pm_strength.strands s
    where s.native_kind in ('pm_action', 'position_closed')
      and s.id_key = left(pm_strength_weigh_trade.strand_id, 500) and s.id = pm_strength_weigh_trade.strand_id
    union
    select a.id, a.bytes
    from pm_strength.strands s
    join pm_strength.strands a on a.column_key = s.column_key
    where s.native_kind in ('pm_action', 'position_closed')
      and s.id_key = left(pm_strength_weigh_trade.strand_id, 500) and s.id = pm_strength_weigh_trade.strand_id
  ) a
$$;
comment on function public.pm_strength_weigh_trade(text) is
  'How many strands the trade of a strand has, and how many bytes they take on disk: {strands, bytes}.';
revoke execute on function public.pm_strength_weigh_trade(text) from public, anon, authenticated;
grant execute on function public.pm_strength_weigh_trade(text) to service_role;
