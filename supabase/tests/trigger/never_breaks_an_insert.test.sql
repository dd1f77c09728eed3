-- Learning must never break a bot's insert: without the queue the strand is stored all the same.
begin;
select plan(5);

create role a_bot nologin;
grant a_bot to current_user;
grant insert, select on public.ad_strands to a_bot;
create policy a_bot on public.ad_strands to a_bot using (true) with check (true);
select pgmq.purge_queue('pm_strength_trades');

set local role a_bot;
insert into public.ad_strands (id, module, kind, content) values ('c1', 'pm', 'position_closed', '{}');
reset role;
select is((select count(*) from public.ad_strands where id = 'c1'), 1::bigint, 'a role without rights on the queue can insert');
select is((select count(*) from pgmq.q_pm_strength_trades), 1::bigint, 'and its close is queued');
select ok(not has_schema_privilege('a_bot', 'pgmq', 'usage'), 'though it cannot reach the queue itself');

select lives_ok(
  $$ insert into public.ad_strands (id, module, kind, trade_id, content)
     select 'long', 'pm', 'pm_action', noise, jsonb_build_object('trade_id', noise)
     from (select string_agg(md5(n::text), '') as noise from generate_series(1, 1000) n) s $$,
  'a trade id too long for an index is stored too'
);

alter table pgmq.q_pm_strength_trades rename to gone;
set local client_min_messages = error;
insert into public.ad_strands (id, module, kind, content) values ('c2', 'pm', 'position_closed', '{}');
select is((select count(*) from public.ad_strands where id = 'c2'), 1::bigint, 'without the queue it is stored');

select * from finish();
rollback;
