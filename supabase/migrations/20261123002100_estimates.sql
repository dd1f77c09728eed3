-- With `Prefer: count=planned` any signed-in user may ask how many rows a filter is likely to match. The planner
-- answers from its statistics, and row level security does not cover those. Without statistics on the columns
-- that readers filter by, the answer tells the size of a table and nothing about its content. Of ids, which
-- are running numbers, so much is kept as tells that they are in order.
do $$
declare
  readable record;
begin
  for readable in
    select a.attrelid::regclass as name, a.attname
    from pg_catalog.pg_attribute a
    join pg_catalog.pg_class c on c.oid = a.attrelid and c.relkind in ('r', 'p')
    where (
        a.attrelid in (
          'pm_strength.sets'::regclass, 'pm_strength.run_constants'::regclass, 'public.learning_runs'::regclass, 'public.learning_settings'::regclass
        )
        -- with all of their shelves
        or c.relnamespace = 'pm_strength'::regnamespace and c.relname ~ '^(lessons|overrides)(_[0-8])?$'
      )
      and a.attnum > 0 and not a.attisdropped
  loop
    execute format(
      'alter table %s alter column %I set statistics %s', readable.name, readable.attname,
      case when readable.attname = 'id' and readable.name::text ~ 'pm_strength.(lessons|overrides)' then 1 else 0 end
    );
  end loop;
end
$$;
