-- The line for pg_cron in docs/learning.md is all that a cron needs.
begin;
select plan(3);
select pgmq.purge_queue('pm_strength_jobs');

select lives_ok(
  $$ select cron.schedule('pm-strength', '* * * * *', 'select public.pm_strength_enqueue_due()') $$,
  'the job is taken'
);
update pm_strength.schedule set last_slot = last_slot - interval '1 day';
do $$
declare
  command text;
begin
  select j.command into strict command from cron.job j where j.jobname = 'pm-strength';
  execute command;
end
$$;
select is((select count(*) from pgmq.q_pm_strength_jobs), 3::bigint, 'and does what it says');
select ok(cron.unschedule('pm-strength'), 'and can be taken away');

select * from finish();
rollback;
