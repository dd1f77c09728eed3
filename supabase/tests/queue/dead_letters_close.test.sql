-- A strand has one dead letter, which is closed when the strand is learned from after all.
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
select public.pm_strength_commit_trades('[]', '{}', '[]', '[
  {"strand_id": "a3", "code": "bad_strand", "reason": "scope: bad", "message": {"strand_id": "a3"}},
  {"strand_id": "c2", "code": "no_actions", "reason": "none", "message": {"strand_id": "c2"}},
  {"strand_id": "c9", "code": "bad_strand", "reason": "rr: bad", "message": {"strand_id": "c9"}}
]');
select public.pm_strength_commit_trades('[]', '{}', '[]', '[
  {"strand_id": "a3", "code": "bad_strand", "reason": "scope: still bad", "message": {"strand_id": "a3"}}
]');
select results_eq(
  $$ select strand_id collate "default", reason from public.pm_dead_letters order by 1 $$,
  $$ values ('a3', 'scope: still bad'), ('c2', 'none'), ('c9', 'rr: bad') $$,
  'one letter a strand, with the reason of now'
);
select public.pm_strength_commit_trades(pg_temp.events('a3', 1, 'c2'), '{}', '[]', '[]');
select results_eq(
  $$ select strand_id collate "default" from public.pm_dead_letters where resolved_at is null $$, array['c9'],
  'what was learned from after all is closed, its close too'
);
select is(public.pm_strength_requeue(), 1, 'and not sent again');

select * from finish();
rollback;
