-- What is captured once is not changed: a trade keeps its outcome, a message is not sent twice.
begin;
select plan(15);
select pgmq.purge_queue('pm_strength_trades');
truncate public.ad_strands, public.pattern_trade_events, public.pm_dead_letters;

select is_empty(
  $$ select attname from pg_attribute where attrelid = 'pm_strength.strands'::regclass
     and attname in ('id', 'native_id') and attcollation <> '"C"'::regcollation $$,
  'ids are ordered byte for byte, in any database'
);
create function pg_temp.events(strand_id text, rr float8, closed_by text) returns jsonb language sql as $$
  select jsonb_build_array(jsonb_build_object(
    'strand_id', strand_id, 'trade_id', '866be140-e3e7-522e-8e79-436a4227d831', 'pattern_key', 'p',
    'action_category', 'entry', 'scope', '{}'::jsonb, 'rr', rr, 'pnl_usd', rr, 'rpnl_pct', rr,
    'trimmed', rr > 2, 'reached_s3', rr > 2, 'timestamp', timestamptz '2026-01-01' + rr * interval '1 day',
    'closed_by', closed_by
  ))
$$;

insert into public.ad_strands (id, module, kind, trade_id, content, created_at) values
  ('c3', 'pm', 'position_closed', '866be140-e3e7-522e-8e79-436a4227d831', '{}', '2026-01-02'),
  ('c1', 'dm', 'position_closed', '866be140-e3e7-522e-8e79-436a4227d831', '{}', '2026-01-01'),
  ('c4', 'pm', 'position_closed', null, '{"trade_id": "866BE140-e3e7-522e-8e79-436a4227d831"}', '2026-01-02'),
  ('c2', 'pm', 'position_closed', '866be140-e3e7-522e-8e79-436a4227d831', '{}', '2026-01-03'),
  ('a1', 'dm', 'pm_action', '866be140-e3e7-522e-8e79-436a4227d831', '{}', '2026-01-01');

set local role service_role;
create temporary table claimed as select public.pm_strength_claim_trades(10, 30, 1)::jsonb as messages;
create temporary table batch as
select public.pm_strength_read_trades(array_agg(m -> 'message' ->> 'strand_id'))::jsonb as value
from claimed, jsonb_array_elements(messages) m;
select results_eq(
  $$ select s ->> 'id' from batch, jsonb_array_elements(value -> 'strands') with ordinality e (s, place) order by place $$,
  array['a1', 'c3', 'c4', 'c2'], 'closes of the module alone, the first one first: by time, then by id'
);
select is(
  public.pm_strength_claim_trades(10, 30, 1)::jsonb, '[]'::jsonb,
  'what a worker waited for is leased to it alone'
);

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

select (messages -> 0 ->> 'msg_id')::bigint as msg from claimed \gset
create temporary table retry as select jsonb_build_array(jsonb_build_object(
  'msg_id', :msg, 'message', '{"strand_id": "c3", "attempt": 2}'::jsonb, 'delay_seconds', 60
)) as value;
select public.pm_strength_commit_trades('[]', '{}', value, '[]') from retry;
select public.pm_strength_commit_trades('[]', '{}', value, '[]') from retry;
reset role;
select is(
  (select count(*) from pgmq.q_pm_strength_trades where message ? 'attempt'), 1::bigint,
  'a retry is sent once, however often its commit is repeated'
);
select ok(
  (select vt > now() + interval '30 seconds' from pgmq.q_pm_strength_trades where message ? 'attempt'), 'and later'
);

-- dead letters
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

select public.pm_strength_commit_trades('[]', '{}', '[]', '[
  {"strand_id": "x1", "code": "bad_strand", "reason": "r", "message": {"strand_id": "x1"}},
  {"strand_id": "x2", "code": "bad_strand", "reason": "r", "message": {"strand_id": "x2"}}
]');
select id as letter from public.pm_dead_letters where strand_id = 'x1' \gset
select is(public.pm_strength_requeue(array[:letter]), 1, 'one can be chosen');
select is(
  (select requeued_at from public.pm_dead_letters where strand_id = 'x2'), null, 'and the others stay'
);
select is(public.pm_strength_requeue('{}'), 0, 'none of a list of none');
reset role;
select is(
  (select count(*) from pgmq.q_pm_strength_trades where message ->> 'strand_id' in ('c9', 'x1')), 2::bigint,
  'they are on the queue'
);

select * from finish();
rollback;
