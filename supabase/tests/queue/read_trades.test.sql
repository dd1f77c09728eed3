-- A trade is read with the closes of its module, the one that gives the outcome first.
begin;
select plan(1);
select pgmq.purge_queue('pm_strength_trades');
truncate public.ad_strands, public.pattern_trade_events, public.pm_dead_letters;

insert into public.ad_strands (id, module, kind, trade_id, content, created_at) values
  ('c3', 'pm', 'position_closed', '866be140-e3e7-522e-8e79-436a4227d831', '{}', '2026-01-02'),
  ('c1', 'dm', 'position_closed', '866be140-e3e7-522e-8e79-436a4227d831', '{}', '2026-01-01'),
  ('c4', 'pm', 'position_closed', null, '{"trade_id": "866BE140-e3e7-522e-8e79-436a4227d831"}', '2026-01-02'),
  ('c2', 'pm', 'position_closed', '866be140-e3e7-522e-8e79-436a4227d831', '{}', '2026-01-03'),
  ('a1', 'dm', 'pm_action', '866be140-e3e7-522e-8e79-436a4227d831', '{}', '2026-01-01');

set local role service_role;
create temporary table trade as select public.pm_strength_read_trades(array['c3', 'c4', 'c2'])::jsonb as value;
select results_eq(
  $$ select s ->> 'id' from trade, jsonb_array_elements(value -> 'strands') with ordinality e (s, place) order by place $$,
  array['a1', 'c3', 'c4', 'c2'], 'closes of the module alone, the first one first: by time, then by id'
);

select * from finish();
rollback;
