-- A close without actions waits, and the sweep brings it back as soon as they are there, not before.
begin;
select plan(9);
truncate public.ad_strands, public.pattern_trade_events, public.pm_dead_letters;

insert into public.ad_strands (id, module, kind, trade_id, content)
select 'c' || n, 'pm', 'position_closed', format('00000000-0000-4000-8000-00000000000%s', n), '{}'
from generate_series(1, 4) n;
select pgmq.purge_queue('pm_strength_trades');
-- c1 and c2 were given up for want of actions; c3 waits for its next try; c4 is with a worker
insert into public.pm_dead_letters (queue, strand_id, code, reason, message)
select 'pm_strength_trades', id, 'no_actions', 'none', jsonb_build_object('strand_id', id)
from unnest(array['c1', 'c2']) id;
select pgmq.send('pm_strength_trades', '{"strand_id": "c3", "attempt": 2}'::jsonb, 600);
select pgmq.send('pm_strength_trades', '{"strand_id": "c4"}'::jsonb, 600);
create function pg_temp.due() returns text[] language sql as $$
  select array_agg(message ->> 'strand_id' order by message ->> 'strand_id') from pgmq.q_pm_strength_trades where vt <= clock_timestamp()
$$;

select is(public.pm_strength_sweep('position_closed', '', 100) -> 'found', '0', 'nothing has come');
select is(pg_temp.due(), null, 'nobody is disturbed');

insert into public.ad_strands (id, module, kind, trade_id, content)
select 'a' || n, 'pm', 'pm_action', format('00000000-0000-4000-8000-00000000000%s', n), '{"note": "no pattern"}'
from generate_series(1, 4) n;
select is(public.pm_strength_sweep('position_closed', '', 100) -> 'found', '0', 'what cannot be learned from is no action');

update public.ad_strands set content = '{"pattern_key": "p", "action_category": "hodl"}' where kind = 'pm_action';
insert into public.pm_dead_letters (queue, strand_id, code, reason, message)
select 'pm_strength_trades', 'a' || n, 'bad_strand', 'bad', '{}' from generate_series(1, 4) n;
select is(public.pm_strength_sweep('position_closed', '', 100) -> 'found', '0', 'nor is one that is a dead letter');
select is(pg_temp.due(), null, 'still nobody is disturbed');

update public.pm_dead_letters set requeued_at = now() where strand_id in ('a1', 'a3', 'a4');
select is(public.pm_strength_sweep('position_closed', '', 100) -> 'found', '1', 'one whose action has come is queued');
select is(pg_temp.due(), array['c1', 'c3'], 'the next try of one that waits is due; a lease is left alone');
select is(public.pm_strength_sweep('position_closed', '', 100) -> 'found', '0', 'once');
select is(
  (select array_agg(message ->> 'strand_id' order by message ->> 'strand_id') from pgmq.q_pm_strength_trades), array['c1', 'c3', 'c4'],
  'one message each'
);

select * from finish();
rollback;
