-- A trade keeps the outcome that it was captured with, whatever comes later.
begin;
select plan(3);
select pgmq.purge_queue('pm_strength_trades');
truncate public.ad_strands, public.pattern_trade_events, public.pm_dead_letters;

create function pg_temp.events(strand_id text, rr float8, closed_by text) returns jsonb language sql as $$
  select jsonb_build_array(jsonb_build_object(
    'strand_id', strand_id, 'trade_id', '866be140-e3e7-522e-8e79-436a4227d831', 'pattern_key', 'p',
    'action_category', 'entry', 'scope', '{}'::jsonb, 'rr', rr, 'pnl_usd', rr, 'rpnl_pct', rr,
    'trimmed', rr > 2, 'reached_s3', rr > 2, 'timestamp', timestamptz '2026-01-01' + rr * interval '1 day',
    'closed_by', closed_by
  ))
$$;

set local role service_role;
select public.pm_strength_commit_trades(pg_temp.events('a1', 1, 'c3'), '{}', '[]', '[]');
select is(
  public.pm_strength_commit_trades(pg_temp.events('a1', 5, 'c2'), '{}', '[]', '[]'), '{"events": 0}',
  'an action is one event, ever'
);
select is(
  public.pm_strength_commit_trades(pg_temp.events('a2', 5, 'c2'), '{}', '[]', '[]'), '{"events": 1}',
  'a late one is another'
);
select results_eq(
  $$ select distinct rr, pnl_usd, rpnl_pct, trimmed, reached_s3, "timestamp", closed_by from public.pattern_trade_events $$,
  $$ values (1::float8, 1::float8, 1::float8, false, false, timestamptz '2026-01-02', 'c3') $$,
  'with the outcome that the trade has, whatever it brings'
);

select * from finish();
rollback;
