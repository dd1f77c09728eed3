-- A mining run reads the events that were there when it began, all of them, and no others.
begin;
select plan(5);
truncate public.pattern_trade_events;

create function pg_temp.event(strand_id text, module text default 'pm') returns void language sql as $$
  insert into public.pattern_trade_events (strand_id, trade_id, module, pattern_key, action_category, scope, rr, "timestamp")
  values (strand_id, gen_random_uuid(), module, 'p', 'entry', '{}', 1, now())
$$;
-- the last id of a page, and how many events it has
create function pg_temp.read(after_id bigint, up_to_id bigint) returns bigint[] language sql as $$
  select array[(p.page ->> 'last_id')::bigint, json_array_length(p.page -> 'pattern_key')]
  from (select public.pm_strength_read_events('pm', after_id, up_to_id, 2)) p (page)
  where p.page ->> 'last_id' is not null
$$;
select pg_temp.event('a'), pg_temp.event('b'), pg_temp.event('x', 'dm'), pg_temp.event('c'), pg_temp.event('y', 'dm');
create temporary table ids as select strand_id, id from public.pattern_trade_events;
select (public.pm_strength_begin_run('pm', 'mine', '{}', gen_random_uuid()) ->> 'horizon')::bigint as horizon \gset
select pg_temp.event('later');

select is(:horizon::bigint, (select id from ids where strand_id = 'c'), 'a run begins at the newest event of its module');
select is(
  pg_temp.read(0, :horizon), (select array[id, 2] from ids where strand_id = 'b'), 'a page of its events'
);
select is(
  pg_temp.read((select id from ids where strand_id = 'b'), :horizon), (select array[id, 1] from ids where strand_id = 'c'),
  'the rest of them'
);
select is(pg_temp.read(:horizon, :horizon), null, 'none that came later');

truncate public.pattern_trade_events;
select is(
  public.pm_strength_begin_run('pm', 'mine', '{}', gen_random_uuid()) -> 'horizon', '0', 'without events it reads none'
);

select * from finish();
rollback;
