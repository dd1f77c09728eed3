-- A job that waits makes room for the newest of its kind; one that is being done is left alone.
begin;
select plan(11);
select pgmq.purge_queue('pm_strength_jobs');
update pm_strength.schedule set last_slot = 'infinity';

set local role service_role;
select throws_ok(
  format('select public.pm_strength_enqueue_job(%s)', job), '22023', null, format('%s is no job', job)
)
from (values ($$'dance'$$), ('null')) bad (job);

select public.pm_strength_enqueue_job('mine') as first \gset
select is(public.pm_strength_read_job(600) ->> 'msg_id', :'first', 'a worker has the job');
select public.pm_strength_enqueue_job('mine') as second \gset
select is(public.pm_strength_extend('pm_strength_jobs', array[:first], 600), 1, 'and keeps it');
select public.pm_strength_enqueue_job('materialize') as other \gset
select public.pm_strength_enqueue_job('mine') as third \gset
reset role;
select set_eq(
  'select msg_id from pgmq.q_pm_strength_jobs', array[:first, :other, :third]::bigint[], 'the one that waited made room'
);

set local role service_role;
select is(public.pm_strength_extend('pm_strength_jobs', array[:other, :third], 600), 2, 'a lease is for as long as asked');
select is(public.pm_strength_read_job(600), null, 'so that nobody else gets it');
select is(public.pm_strength_archive('pm_strength_jobs', array[:other, :third]), 2, 'what is done goes');
select is(public.pm_strength_archive('pm_strength_jobs', array[:other, :third]), 0, 'once');

reset role;
select pgmq.purge_queue('pm_strength_jobs');
-- in another order in the table
delete from pm_strength.schedule;
insert into pm_strength.schedule (job, every, past, last_slot) values
  ('materialize', '1 hour', '10 minutes', '2026-01-01'), ('mine', '1 hour', '8 minutes', '2026-01-01'),
  ('sweep', '5 minutes', '2 minutes', '2026-01-01');
select is(public.pm_strength_enqueue_due('2026-01-05 10:30:00+00'), 3, 'what is due at once');
select results_eq(
  $$ select message ->> 'job' from pgmq.q_pm_strength_jobs order by msg_id $$, array['sweep', 'mine', 'materialize'],
  'is queued in the order in which it builds on each other'
);

select * from finish();
rollback;
