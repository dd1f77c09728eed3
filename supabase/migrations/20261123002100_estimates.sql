-- With `Prefer: count=planned` any signed-in user may ask how many rows a filter is likely to match. The planner
-- answers from its statistics, and row level security does not cover those. Without statistics on the columns
-- that readers filter by, the answer tells the size of a table and nothing about its content. set_id keeps its
-- statistics: no reader filters by it, and plans need the number of rows of a set.
do $$
declare
  readable record;
begin
  for readable in
    select a.attrelid::regclass as name, a.attname
    from pg_catalog.pg_attribute a
    where a.attrelid in (
        'pm_strength.lessons'::regclass, 'pm_strength.overrides'::regclass,
        'pm_strength.sets'::regclass, 'public.learning_runs'::regclass, 'public.learning_settings'::regclass
      )
      and a.attnum > 0 and not a.attisdropped and a.attname <> 'set_id'
  loop
    execute format('alter table %s alter column %I set statistics 0', readable.name, readable.attname);
  end loop;
end
$$;
