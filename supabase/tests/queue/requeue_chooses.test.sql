-- Dead letters are sent again all, or those that are named.
begin;
select plan(5);
select pgmq.purge_queue('pm_strength_trades');
truncate public.ad_strands, public.pattern_trade_events, public.pm_dead_letters;

set local role service_role;
select public.pm_strength_commit_trades('[]', '{}', '[]', '[
  {"strand_id": "x1", "code": "bad_strand", "reason": "r", "message": {"strand_id": "x1"}},
  {"strand_id": "x2", "code": "bad_strand", "reason": "r", "message": {"strand_id": "x2"}}
]');
select id as letter from public.pm_dead_letters where strand_id = 'x1' \gset
select is(public.pm_strength_requeue('{}'), 0, 'none of a list of none');
select is(public.pm_strength_requeue(array[:letter]), 1, 'one can be chosen');
select is(
  (select requeued_at from public.pm_dead_letters where strand_id = 'x2'), null, 'and the others stay'
);
reset role;
select results_eq(
  $$ select message ->> 'strand_id' from pgmq.q_pm_strength_trades $$, array['x1'], 'it is on the queue'
);
set local role service_role;
select public.pm_strength_requeue();
reset role;
select results_eq(
  $$ select message ->> 'strand_id' from pgmq.q_pm_strength_trades order by 1 $$, array['x1', 'x2'],
  'all that are open, if none is named'
);

select * from finish();
rollback;
