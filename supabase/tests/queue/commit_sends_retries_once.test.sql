-- A commit that is repeated, as its answer was lost, sends no message twice.
begin;
select plan(2);
select pgmq.purge_queue('pm_strength_trades');
truncate public.ad_strands, public.pattern_trade_events, public.pm_dead_letters;

insert into public.ad_strands (id, module, kind, trade_id, content) values
  ('c1', 'pm', 'position_closed', '866be140-e3e7-522e-8e79-436a4227d831', '{}');

set local role service_role;
create temporary table retry as select jsonb_build_array(jsonb_build_object(
  'msg_id', m -> 'msg_id', 'message', '{"strand_id": "c1", "attempt": 2}'::jsonb, 'delay_seconds', 60
)) as value
from jsonb_array_elements(public.pm_strength_claim_trades(10, 30, 1)::jsonb) m;
select public.pm_strength_commit_trades('[]', '{}', value, '[]') from retry;
select public.pm_strength_commit_trades('[]', '{}', value, '[]') from retry;
reset role;
select results_eq(
  'select message from pgmq.q_pm_strength_trades', $$ values ('{"strand_id": "c1", "attempt": 2}'::jsonb) $$,
  'it takes the place of the one that was claimed'
);
select ok((select vt > now() + interval '30 seconds' from pgmq.q_pm_strength_trades), 'and comes later');

select * from finish();
rollback;
