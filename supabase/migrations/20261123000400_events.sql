-- pattern_trade_events: one row for each action of a closed trade, with the trade's final outcome.

create table public.pattern_trade_events (
  id bigint generated always as identity primary key,
  -- the collation of pm_strength.strands: with another one no look-up would use the index
  strand_id text collate "C" not null,
  trade_id uuid not null,
  module text not null default 'pm',
  pattern_key text not null,
  action_category text not null,
  scope jsonb not null,
  rr double precision not null,
  pnl_usd double precision,
  rpnl_pct double precision,
  trimmed boolean,
  reached_s3 boolean,
  "timestamp" timestamptz not null,
  closed_by text,
  action_at timestamptz,
  created_at timestamptz not null default now(),
  constraint pattern_trade_events_strand unique (strand_id),
  constraint pattern_trade_events_pattern check (pattern_key <> ''),
  constraint pattern_trade_events_category check (action_category in ('entry', 'add', 'trim', 'exit')),
  constraint pattern_trade_events_scope check (jsonb_typeof(scope) = 'object'),
  constraint pattern_trade_events_finite check (
    abs(rr) < 'infinity' and abs(pnl_usd) < 'infinity' and abs(rpnl_pct) < 'infinity'
  ),
  -- what every reader has: Python ends with the year 9999
  constraint pattern_trade_events_action_at check (
    action_at between '0001-01-01 00:00Z' and '9999-12-31 23:59:59.999999Z'
  )
);
comment on table public.pattern_trade_events is
  'One row for each action of a closed trade: what was done, in which scope, and how the trade ended.';
comment on column public.pattern_trade_events.id is 'Order of capture.';
comment on column public.pattern_trade_events.strand_id is 'The pm_action strand; one event each, ever.';
comment on column public.pattern_trade_events.trade_id is 'The trade that the action belongs to.';
comment on column public.pattern_trade_events.module is 'The module that traded.';
comment on column public.pattern_trade_events.pattern_key is 'What the action was, as the strand has it.';
comment on column public.pattern_trade_events.action_category is 'entry, add, trim or exit.';
comment on column public.pattern_trade_events.scope is 'The dimensions that the action was taken in.';
comment on column public.pattern_trade_events.rr is 'The trade''s outcome in R; the same on all its events.';
comment on column public.pattern_trade_events.pnl_usd is 'The trade''s realized profit in USD.';
comment on column public.pattern_trade_events.rpnl_pct is 'The trade''s realized profit in percent.';
comment on column public.pattern_trade_events.trimmed is 'Whether the trade was trimmed.';
comment on column public.pattern_trade_events.reached_s3 is 'Whether the trade reached state S3.';
comment on column public.pattern_trade_events."timestamp" is 'When the trade ended.';
comment on column public.pattern_trade_events.closed_by is 'The position_closed strand that gave the outcome.';
comment on column public.pattern_trade_events.action_at is
  'When the action was taken, the created_at of its strand; null where that is not known.';
comment on column public.pattern_trade_events.created_at is 'When the event was captured.';

-- The events of a module in order of capture, of many modules in one table.
create index pattern_trade_events_module on public.pattern_trade_events (module, id);
create index pattern_trade_events_trade on public.pattern_trade_events (trade_id);
-- For pm_strength_fill_action_at. No other index has this order, so whatever the statistics say, a page of
-- events without a time is read from here.
create index pattern_trade_events_no_action_at on public.pattern_trade_events ((left(strand_id, 500) collate "C"))
  where action_at is null;
create index pattern_trade_events_scope on public.pattern_trade_events using gin (scope jsonb_path_ops);

alter table public.pattern_trade_events enable row level security;
-- A project's default privileges give sequences to everyone. Nobody needs them: identity columns take their
-- numbers with the rights of the table.
revoke all on sequence public.pattern_trade_events_id_seq from anon, authenticated;
revoke all on public.pattern_trade_events from anon, authenticated;
grant all on public.pattern_trade_events to service_role;

-- Events are only ever added by the worker. If others change or remove some, what was read before is out of date: the
-- epoch says so.
create table pm_strength.event_epoch (
  epoch bigint not null default 0,
  the_only boolean primary key default true,
  constraint event_epoch_one check (the_only)
);
comment on table pm_strength.event_epoch is 'How often events were changed or removed.';
comment on column pm_strength.event_epoch.epoch is 'A number that is raised each time.';
comment on column pm_strength.event_epoch.the_only is 'There is one row.';
insert into pm_strength.event_epoch default values;
alter table pm_strength.event_epoch enable row level security;
revoke all on pm_strength.event_epoch from anon, authenticated;
grant all on pm_strength.event_epoch to service_role;

create function pm_strength.raise_epoch() returns trigger
language plpgsql security definer
set search_path = ''
as $$
begin
  update pm_strength.event_epoch set epoch = epoch + 1;
  return null;
end
$$;
comment on function pm_strength.raise_epoch() is
  'Notes that events were changed or removed, whoever did it: with its owner''s rights.';
revoke execute on function pm_strength.raise_epoch() from public, anon, authenticated, service_role;
create trigger raise_epoch after update or delete or truncate on public.pattern_trade_events
for each statement execute function pm_strength.raise_epoch();

-- A page is one JSON value, because the API cuts an answer of rows at a number that the project sets. Its columns
-- are packed, which makes it a third as long and read ten times as fast as rows of JSON: 16 bytes of each id, 8 of
-- each number and time (microseconds since 2000), as base64; NaN and -infinity are null. Scopes are a line each: no
-- text of jsonb has a line break. Comparing rows, in an order that begins with the module, only the index on
-- (module, id) will do, whatever the statistics say: the primary key would lead through all other modules.
create function public.pm_strength_read_events(
  module text, after_id bigint, up_to_id bigint, page_size integer
) returns json
language sql stable
set search_path = ''
set jit = off
set enable_seqscan = off
set enable_bitmapscan = off
set enable_sort = off
as $$
  select json_build_object(
    'last_id', max(p.id),
    'trade_id', encode(string_agg(uuid_send(p.trade_id), ''), 'base64'),
    'pattern_key', json_agg(p.pattern_key),
    'action_category', json_agg(p.action_category),
    'scope', string_agg(p.scope::text, E'\n'),
    'rr', encode(string_agg(float8send(p.rr), ''), 'base64'),
    'pnl_usd', encode(string_agg(float8send(coalesce(p.pnl_usd, 'NaN')), ''), 'base64'),
    'rpnl_pct', encode(string_agg(float8send(coalesce(p.rpnl_pct, 'NaN')), ''), 'base64'),
    'timestamp', encode(string_agg(timestamptz_send(p."timestamp"), ''), 'base64'),
    'action_at', encode(string_agg(timestamptz_send(coalesce(p.action_at, '-infinity')), ''), 'base64'),
    'trimmed', string_agg(case p.trimmed when true then 't' when false then 'f' else '-' end, ''),
    'reached_s3', string_agg(case p.reached_s3 when true then 't' when false then 'f' else '-' end, '')
  )
  from (
    select e.*
    from public.pattern_trade_events e
    where (e.module, e.id) > (pm_strength_read_events.module, pm_strength_read_events.after_id)
      and (e.module, e.id) <= (pm_strength_read_events.module, pm_strength_read_events.up_to_id)
    order by e.module, e.id
    limit least(pm_strength_read_events.page_size, 20000)
  ) p
$$;
comment on function public.pm_strength_read_events(text, bigint, bigint, integer) is
  'Up to page_size events of a module with after_id < id <= up_to_id, in order of id, as packed columns and their last_id (null: no events).';
revoke execute on function public.pm_strength_read_events(text, bigint, bigint, integer)
  from public, anon, authenticated;
grant execute on function public.pm_strength_read_events(text, bigint, bigint, integer) to service_role;

-- What a worker kept of the events is still what they are if the epoch is the same (nothing was changed or removed),
-- their number (none was added below the id, and it is not another database), and the newest of them (nor is it one
-- that was restored, and then went on otherwise).
create function public.pm_strength_check_events(module text, up_to_id bigint, with_count boolean default true)
returns jsonb
language sql stable
set search_path = ''
set jit = off
set enable_seqscan = off
set enable_bitmapscan = off
as $$
  select jsonb_build_object(
    'epoch', (select e.epoch from pm_strength.event_epoch e),
    'events', case when with_count then (
      select count(*) from public.pattern_trade_events e
      where (e.module, e.id) > (pm_strength_check_events.module, 0)
        and (e.module, e.id) <= (pm_strength_check_events.module, up_to_id)
    ) end,
    'tail', (
      select md5(string_agg(format('%s %s %s %s', n.id, n.strand_id, n.rr, n.created_at), ',' order by n.id desc))
      from (
        select e.id, e.strand_id, e.rr, e.created_at from public.pattern_trade_events e
        where (e.module, e.id) > (pm_strength_check_events.module, 0)
          and (e.module, e.id) <= (pm_strength_check_events.module, up_to_id)
        order by e.module desc, e.id desc
        limit 1000
      ) n
    )
  )
$$;
comment on function public.pm_strength_check_events(text, bigint, boolean) is
  'What tells whether the events of a module up to an id are still those of before: {epoch, events, tail}.';
revoke execute on function public.pm_strength_check_events(text, bigint, boolean) from public, anon, authenticated;
grant execute on function public.pm_strength_check_events(text, bigint, boolean) to service_role;
