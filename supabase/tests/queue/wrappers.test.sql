-- What the worker does to its queues, and to no other.
begin;
select plan(20);
select pgmq.purge_queue('pm_strength_trades');
select pgmq.purge_queue('pm_strength_jobs');
select pgmq.create('someone_elses');
delete from public.pm_dead_letters;

set local role service_role;
select throws_ok(
  format('select public.pm_strength_%s', call), '22023', null, format('%s: not its queue', call)
)
from (values
  ($$extend('someone_elses', '{1}', 5)$$), ($$archive('someone_elses', '{1}')$$),
  ($$dead_letter('someone_elses', 1, 'x')$$), ($$archive(null, '{1}')$$)
) foreign_queue (call);

select public.pm_strength_enqueue_job('mine') as job \gset
select is(public.pm_strength_read_job(30) ->> 'msg_id', :'job', 'a job is read');
select is(public.pm_strength_read_job(30), null, 'and is nobody else''s while its lease lasts');
select is(public.pm_strength_extend('pm_strength_jobs', array[:job, 999999], 0), 1, 'extending counts what is there');
select is((public.pm_strength_read_job(30) ->> 'read_ct')::int, 2, 'given back, it is read again');
select ok(public.pm_strength_dead_letter('pm_strength_jobs', :job, 'it broke'), 'it goes to the dead letters');
select ok(not public.pm_strength_dead_letter('pm_strength_jobs', :job, 'it broke'), 'once');
select results_eq(
  $$ select job collate "default", code, reason from public.pm_dead_letters $$,
  $$ values ('mine', 'failed', 'it broke') $$, 'with its reason'
);
select is(public.pm_strength_requeue(), 1, 'and can be sent again');
select is(public.pm_strength_requeue(), 0, 'once');
select is((public.pm_strength_read_job(30) -> 'message' ->> 'job'), 'mine', 'as it was');
select is(
  (public.pm_strength_queue_status() -> 'queues' -> 1 ->> 'depth')::int, 1, 'the status counts what waits'
);


reset role;
-- whatever a message says, it can be set aside
select is(
  public.pm_strength_dead_letter('pm_strength_trades', sent.id, 'odd'), true, format('%s is set aside', body)
)
from unnest(array['{"strand_id": null}', '["strand_id"]', '"strand_id"', '{"strand_id": 5}', '7']) body
cross join lateral pgmq.send('pm_strength_trades', body::jsonb) sent (id);

select * from finish();
rollback;
