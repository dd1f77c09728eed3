-- The trigger on ad_strands: a strand that becomes position_closed puts one message on the queue,
-- in the same transaction.

-- SECURITY DEFINER: the bot that inserts has no rights on the queue. It runs once a statement, so a bulk insert
-- costs one call. If it fails, the strands are stored all the same, with a warning, and the sweep finds them:
-- learning must never break a bot's insert. It waits at most 100 ms for a lock, or a quarter of the time that
-- the statement has: a time-out of the whole statement cannot be caught, and would undo the insert. Transition
-- tables have no statistics; without nested loops an update of 30,000 rows is compared by hash, not for a minute.
create function pm_strength.enqueue_closed() returns trigger
language plpgsql security definer
set search_path = ''
set lock_timeout = '100ms'
set enable_nestloop = off
set jit = off
as $$
declare
  has_seconds constant double precision := extract(epoch from current_setting('statement_timeout')::interval);
  modules text[];
  messages jsonb[];
begin
  if has_seconds > 0 and has_seconds < 0.4 then
    perform set_config('lock_timeout', greatest(1, has_seconds * 250)::integer::text, true);
  end if;
  -- not where it is declared: an error there is not caught
  modules := pm_strength.modules();
  if tg_op = 'INSERT' then
    select array_agg(jsonb_build_object('strand_id', s.id::text)) into messages
    from new_strands s
    where s.kind::text = 'position_closed' and s.module::text = any (modules);
  else
    select array_agg(jsonb_build_object('strand_id', s.id::text)) into messages
    from new_strands s
    where s.kind::text = 'position_closed' and s.module::text = any (modules)
      and not exists (
        select from old_strands o
        where o.id = s.id and o.kind::text = 'position_closed' and o.module::text = any (modules)
      );
  end if;
  if messages is not null then
    perform pgmq.send_batch('pm_strength_trades', messages);
  end if;
  return null;
exception when others then
  raise warning 'PM Strength did not queue closed trades: %. The sweep will find them.', sqlerrm;
  return null;
end
$$;
comment on function pm_strength.enqueue_closed() is 'Queues strands that became position_closed.';
revoke execute on function pm_strength.enqueue_closed() from public, anon, authenticated;

create trigger pm_strength_enqueue_inserted
after insert on public.ad_strands
referencing new table as new_strands
for each statement execute function pm_strength.enqueue_closed();

create trigger pm_strength_enqueue_updated
after update on public.ad_strands
referencing old table as old_strands new table as new_strands
for each statement execute function pm_strength.enqueue_closed();
