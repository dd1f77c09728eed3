-- The sweep queues closes without events and late actions, and nothing twice.
begin;
select plan(9);
truncate public.ad_strands, public.pattern_trade_events, public.pm_dead_letters;

insert into public.ad_strands (id, module, kind, trade_id, content) values
  ('a1', 'pm', 'pm_action', '866be140-e3e7-522e-8e79-436a4227d831', '{"pattern_key": "p", "action_category": "entry"}'),
  ('c1', 'pm', 'position_closed', '866be140-e3e7-522e-8e79-436a4227d831', '{}'),
  ('c2', 'pm', 'position_closed', '00000000-0000-4000-8000-000000000002', '{}'),
  ('d1', 'dm', 'position_closed', '00000000-0000-4000-8000-000000000003', '{}');
select pgmq.purge_queue('pm_strength_trades');

set local role service_role;
select is(public.pm_strength_sweep('position_closed', '', 100), '{"found": 2, "after_id": "d1"}', 'closes are found');
select is(public.pm_strength_sweep('position_closed', '', 100) -> 'found', '0', 'but not twice');
select is(public.pm_strength_sweep('position_closed', 'd1', 100) -> 'after_id', 'null', 'it says where it ends');
select is(public.pm_strength_sweep('position_closed', '', 1) ->> 'after_id', 'c1', 'and where to go on');
select throws_ok($$ select public.pm_strength_sweep('notes', '', 1) $$, '22023', null, 'it knows two kinds');

reset role;
select pgmq.purge_queue('pm_strength_trades');
insert into public.pattern_trade_events (
  strand_id, trade_id, pattern_key, action_category, scope, rr, "timestamp"
) values ('a1', '866be140-e3e7-522e-8e79-436a4227d831', 'p', 'entry', '{}', 1, now());
insert into public.ad_strands (id, module, kind, trade_id, content) values
  ('a2', 'pm', 'pm_action', '866be140-e3e7-522e-8e79-436a4227d831', '{"pattern_key": "p", "action_category": "add"}'),
  ('a3', 'pm', 'pm_action', '866be140-e3e7-522e-8e79-436a4227d831', '{"note": "not to be learned from"}');
insert into public.pm_dead_letters (queue, strand_id, code, reason, message)
values ('pm_strength_trades', 'c2', 'bad_strand', 'rr: ...', '{"strand_id": "c2"}');
set local role service_role;
select is(public.pm_strength_sweep('pm_action', '', 100) -> 'found', '1', 'a late action is found');
select is(public.pm_strength_sweep('position_closed', '', 100) -> 'found', '0', 'captured and dead ones are left alone');
reset role;
select is(
  (select array_agg(message ->> 'strand_id') from pgmq.q_pm_strength_trades), array['a2'], 'it is queued'
);

-- a late action that is a dead letter
select pgmq.purge_queue('pm_strength_trades');
update public.ad_strands set id = 'a4' where id = 'a2';
insert into public.pm_dead_letters (queue, strand_id, code, reason, message)
values ('pm_strength_trades', 'a4', 'bad_strand', 'scope: ...', '{"strand_id": "a4"}');
select is(public.pm_strength_sweep('pm_action', '', 100) -> 'found', '0', 'a bad one is not tried again every five minutes');

select * from finish();
rollback;
