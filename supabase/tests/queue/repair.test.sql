-- Queues that a restore lost are made again, closed to everyone, and filled by the sweep.
begin;
select plan(10);
truncate public.ad_strands, public.pattern_trade_events, public.pm_dead_letters;
select pgmq.purge_queue('pm_strength_trades');
alter table pgmq.q_pm_strength_trades rename to gone;
set local client_min_messages = error;
insert into public.ad_strands (id, module, kind, trade_id)
values ('c1', 'pm', 'position_closed', '00000000-0000-4000-8000-000000000001');
create function pg_temp.open_queues() returns setof text language sql as $$
  select c.relname::text from pg_class c
  where c.relnamespace = 'pgmq'::regnamespace and c.relkind = 'r' and c.relname ~ '^[qa]_pm_strength'
    and not c.relrowsecurity
$$;

set local role service_role;
select is(public.pm_strength_repair(), '{"queues_made": ["pm_strength_trades"]}', 'what is missing is made');
select is(public.pm_strength_repair(), '{"queues_made": []}', 'once');
select is(public.pm_strength_sweep('position_closed', '', 10) -> 'found', '1', 'and filled');
reset role;
select is_empty('select pg_temp.open_queues()', 'nobody may read it');
alter table pgmq.a_pm_strength_jobs disable row level security;
set local role service_role;
select is(public.pm_strength_repair(), '{"queues_made": []}', 'a queue that somebody opened is there');
reset role;
select is_empty('select pg_temp.open_queues()', 'and closed again');

-- a queue as another version of pgmq had it: its messages go along, each due when it was
alter table pgmq.q_pm_strength_trades alter column vt type timestamp;
set local role service_role;
select is(public.pm_strength_repair(), '{"queues_made": ["pm_strength_trades"]}', 'what does not fit is made anew');
select is(public.pm_strength_repair(), '{"queues_made": []}', 'once, though');
select is(
  (select jsonb_agg(m -> 'message') from jsonb_array_elements(public.pm_strength_claim_trades(10, 30, 0)::jsonb) m),
  '[{"strand_id": "c1"}]', 'its messages are there'
);
reset role;
select is_empty('select pg_temp.open_queues()', 'and nobody may read it');

select * from finish();
rollback;
