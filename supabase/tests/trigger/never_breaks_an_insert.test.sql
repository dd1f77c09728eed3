-- Learning must never break a bot's insert: without the queue the strand is stored all the same.
begin;
select plan(4);

create role a_bot nologin;
grant a_bot to current_user;
grant usage on schema extensions to a_bot;
grant insert, select on public.ad_strands to a_bot;
create policy a_bot on public.ad_strands to a_bot using (true) with check (true);
select pgmq.purge_queue('pm_strength_trades');

set local role a_bot;
select lives_ok(
  $$ insert into public.ad_strands (id, module, kind, content) values ('c1', 'pm', 'position_closed', '{}') $$,
  'a role without rights on the queue can insert'
);
select throws_ok(
  $$ select pgmq.send('pm_strength_trades', '{}') $$, '42501', null, 'and cannot reach the queue itself'
);
reset role;
select is((select count(*) from pgmq.q_pm_strength_trades), 1::bigint, 'its close is queued');

alter table pgmq.q_pm_strength_trades rename to gone;
set local client_min_messages = error;
insert into public.ad_strands (id, module, kind, content) values ('c2', 'pm', 'position_closed', '{}');
select is((select count(*) from public.ad_strands where id = 'c2'), 1::bigint, 'without the queue it is stored');

select * from finish();
rollback;
