-- Repair: a dump may lack the queues, which on some versions of pgmq belong to the extension. Strands
-- go on arriving then (the trigger only warns); this makes the queues again and the sweep fills them.

-- SECURITY DEFINER: only the owner of the extension may create queues.
create function public.pm_strength_repair() returns jsonb
language plpgsql security definer
set search_path = ''
as $$
declare
  queue text;
  made text[] := array[]::text[];
begin
  foreach queue in array array['pm_strength_trades', 'pm_strength_jobs'] loop
    if to_regclass(format('pgmq.%I', 'q_' || queue)) is null
      or to_regclass(format('pgmq.%I', 'a_' || queue)) is null
      or not exists (select from pgmq.meta m where m.queue_name = queue)
    then
      perform pgmq.create(queue);
      made := made || queue;
    end if;
    execute format('alter table pgmq.%I enable row level security', 'q_' || queue);
    execute format('alter table pgmq.%I enable row level security', 'a_' || queue);
  end loop;
  return jsonb_build_object('queues_made', to_jsonb(made));
end
$$;
comment on function public.pm_strength_repair() is
  'Makes queues that are missing, as after a restore; then pm_strength_sweep finds what they missed.';
revoke execute on function public.pm_strength_repair() from public, anon, authenticated;
grant execute on function public.pm_strength_repair() to service_role;
