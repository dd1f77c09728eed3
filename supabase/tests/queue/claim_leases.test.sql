-- A message that a worker claimed is its own until the lease runs out.
begin;
select plan(3);
select pgmq.purge_queue('pm_strength_trades');
truncate public.ad_strands, public.pattern_trade_events, public.pm_dead_letters;

insert into public.ad_strands (id, module, kind, trade_id, content) values
  ('c1', 'pm', 'position_closed', '866be140-e3e7-522e-8e79-436a4227d831', '{}');

set local role service_role;
create temporary table claimed as select public.pm_strength_claim_trades(10, 30, 1)::jsonb as messages;
select results_eq(
  $$ select m -> 'message' ->> 'strand_id' from claimed, jsonb_array_elements(messages) m $$, array['c1'],
  'the first one gets it'
);
select is(public.pm_strength_claim_trades(10, 30, 1)::jsonb, '[]'::jsonb, 'one that waits for more does not');
reset role;
update pgmq.q_pm_strength_trades set vt = now() - interval '1 second';
set local role service_role;
select is(
  jsonb_array_length(public.pm_strength_claim_trades(10, 30, 0)::jsonb), 1, 'unless the first one was too long at it'
);

select * from finish();
rollback;
