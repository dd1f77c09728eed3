-- Anyone who is signed in may ask how many rows a filter is likely to match (`Prefer: count=planned`): the
-- planner answers from statistics, and row level security does not hold for those. Without statistics on
-- the columns that readers may filter by, its answer says how large a table is and nothing of what is in
-- it. set_id, which no reader filters by, keeps its own: plans need to know how many rows a set has.
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
