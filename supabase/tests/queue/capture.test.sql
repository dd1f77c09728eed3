-- Reading a batch brings all of its trades; committing it writes all or nothing, once.
begin;
select plan(11);
select pgmq.purge_queue('pm_strength_trades');
truncate public.ad_strands, public.pattern_trade_events, public.pm_dead_letters;

insert into public.ad_strands (id, module, kind, trade_id, content) values
  ('a1', 'pm', 'pm_action', '866be140-e3e7-522e-8e79-436a4227d831', '{"pattern_key": "p", "action_category": "entry", "scope": {"n": 1.10}, "note": [1]}'),
  ('a2', 'dm', 'pm_action', null, '{"trade_id": "866BE140E3E7522E8E79436A4227D831"}'),
  ('x1', 'pm', 'pm_action', '00000000-0000-4000-8000-000000000001', '{}'),
  ('c1', 'pm', 'position_closed', '866be140-e3e7-522e-8e79-436a4227d831', '{}');

set local role service_role;
create temporary table claimed as select public.pm_strength_claim_trades(10, 30, 0)::jsonb as messages;
select is((select messages -> 0 -> 'message' from claimed), '{"strand_id": "c1"}'::jsonb, 'one message');
create temporary table batch as select public.pm_strength_read_trades(array['c1'])::jsonb as value;
select is((select value -> 'read' from batch), '1'::jsonb, 'is read');
select set_eq(
  $$ select s ->> 'id' from batch, jsonb_array_elements(value -> 'strands') s $$,
  array['a1', 'a2', 'c1'], 'all strands of its trade, however it is written'
);
select is(
  (select s ->> 'content' from batch, jsonb_array_elements(value -> 'strands') s where s ->> 'id' = 'a1'),
  '{"trade_id" : null, "pattern_key" : "p", "action_category" : "entry", "scope" : {"n": 1.10}}',
  'what capture needs of it, with numbers as they were written'
);
select is(public.pm_strength_claim_trades(10, 30, 0)::jsonb, '[]'::jsonb, 'leased to one worker');

create temporary table plan as select jsonb_build_array(jsonb_build_object(
  'strand_id', 'a1', 'trade_id', '866be140-e3e7-522e-8e79-436a4227d831', 'pattern_key', 'p',
  'action_category', 'entry', 'scope', '{"rank": 1}'::jsonb, 'rr', 1.5, 'timestamp', '2026-01-01T00:00:00Z',
  'closed_by', 'c1'
)) as events, (select array[(messages -> 0 ->> 'msg_id')::bigint] from claimed) as done;

select is(
  (select public.pm_strength_commit_trades(
    events, done, '[]', '[{"strand_id": "a2", "code": "bad_strand", "reason": "r", "message": {"strand_id": "a2"}}]'
  ) from plan), '{"events": 1}'::jsonb, 'events are written'
);
select is(
  (select public.pm_strength_commit_trades(events, done, '[]', '[]') from plan),
  '{"events": 0}'::jsonb, 'a second delivery writes none'
);
select is((select count(*) from public.pm_dead_letters), 1::bigint, 'the bad one is a dead letter');
reset role;
select is((select count(*) from pgmq.q_pm_strength_trades), 0::bigint, 'the message is done');

set local role service_role;
select throws_ok(
  $$ select public.pm_strength_commit_trades(events || '[{"strand_id": "a9"}]', '{}', '[]', '[]') from plan $$,
  null, null, 'what breaks a rule'
);
select is((select count(*) from public.pattern_trade_events), 1::bigint, 'writes nothing at all');

select * from finish();
rollback;
