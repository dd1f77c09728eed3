-- A strand that becomes position_closed puts one message on the queue, in the same transaction.
begin;
select plan(9);
select pgmq.purge_queue('pm_strength_trades');

insert into public.ad_strands (id, module, kind, content) values
  ('open', 'pm', 'pm_action', '{}'), ('note', 'pm', 'note', '{}'), ('other', 'dm', 'position_closed', '{}');
select is((select count(*) from pgmq.q_pm_strength_trades), 0::bigint, 'other kinds and modules are not queued');

insert into public.ad_strands (id, module, kind, content) values
  ('close-1', 'pm', 'position_closed', '{}'), ('close-2', 'pm', 'position_closed', '{}');
select results_eq(
  $$ select message from pgmq.q_pm_strength_trades order by msg_id $$,
  $$ values ('{"strand_id": "close-1"}'::jsonb), ('{"strand_id": "close-2"}') $$,
  'each close is one message'
);

update public.ad_strands set content = '{"a": 1}' where id = 'close-1';
select is((select count(*) from pgmq.q_pm_strength_trades), 2::bigint, 'a close that stays one is not queued again');

update public.ad_strands set kind = 'position_closed' where id = 'open';
select is((select count(*) from pgmq.q_pm_strength_trades), 3::bigint, 'a strand that becomes a close is queued');

update public.ad_strands set module = 'pm' where id = 'other';
select is((select count(*) from pgmq.q_pm_strength_trades), 4::bigint, 'one that becomes the module''s too');

insert into public.ad_strands (id, module, kind, content) values ('close-1', 'pm', 'position_closed', '{}')
on conflict (id) do nothing;
select is((select count(*) from pgmq.q_pm_strength_trades), 4::bigint, 'an insert that does nothing queues nothing');

insert into public.ad_strands (id, module, kind, content) values ('close-1', 'pm', 'position_closed', '{}')
on conflict (id) do update set content = excluded.content;
select is((select count(*) from pgmq.q_pm_strength_trades), 4::bigint, 'an upsert of a close queues nothing new');

savepoint undone;
insert into public.ad_strands (id, module, kind, content) values ('undone', 'pm', 'position_closed', '{}');
rollback to undone;
select is((select count(*) from pgmq.q_pm_strength_trades), 4::bigint, 'what is rolled back is not queued');

insert into public.ad_strands (id, module, kind, content)
select n::text, 'pm', 'position_closed', '{}' from generate_series(1, 1000) n;
select is((select count(*) from pgmq.q_pm_strength_trades), 1004::bigint, 'a bulk insert queues all');

select * from finish();
rollback;
