-- Sweep at :02, :07 ...; mining at :08; materialization at :10; each slot once.
begin;
select plan(12);
select pgmq.purge_queue('pm_strength_jobs');

select is(
  pm_strength.slot(s.every, s.past, at.at::timestamptz), expected.at::timestamptz,
  format('%s at %s', s.job, at.at)
)
from (values
  ('sweep', '2026-01-05 10:01:59+00', '2026-01-05 09:57:00+00'),
  ('sweep', '2026-01-05 10:02:00+00', '2026-01-05 10:02:00+00'),
  ('mine', '2026-01-05 10:07:59+00', '2026-01-05 09:08:00+00'),
  ('mine', '2026-01-05 10:08:00+00', '2026-01-05 10:08:00+00'),
  ('materialize', '2026-01-05 00:09:00+00', '2026-01-04 23:10:00+00'),
  ('materialize', '2026-01-05 10:10:00+00', '2026-01-05 10:10:00+00')
) expected (job, asked, at)
cross join lateral (select expected.asked as at) at
join pm_strength.schedule s on s.job = expected.job;

update pm_strength.schedule set last_slot = pm_strength.slot(every, past, '2026-01-05 10:00:00+00');
set local role service_role;
select is(public.pm_strength_enqueue_due('2026-01-05 10:01:00+00'), 0, 'nothing is due yet');
select is(public.pm_strength_enqueue_due('2026-01-05 10:08:30+00'), 2, 'a sweep and a mine are due');
select is(public.pm_strength_enqueue_due('2026-01-05 10:08:40+00'), 0, 'and are queued once');
select is(public.pm_strength_enqueue_due('2026-01-06 03:30:00+00'), 3, 'after an outage one of each');
select is(public.pm_strength_enqueue_due('2026-01-05 10:00:00+00'), 0, 'a clock that went back queues nothing');
reset role;
select results_eq(
  $$ select message ->> 'job', count(*)::int from pgmq.q_pm_strength_jobs group by 1 order by 1 $$,
  $$ values ('materialize', 1), ('mine', 1), ('sweep', 1) $$,
  'an older one that waits makes room for the newest'
);

select * from finish();
rollback;
