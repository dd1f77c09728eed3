-- Pages of strands go by their ids, in the same order in any database.
begin;
select plan(1);

select is_empty(
  $$ select attname from pg_attribute where attrelid = 'pm_strength.strands'::regclass
     and attname in ('id', 'native_id') and attcollation <> '"C"'::regcollation $$,
  'ids are ordered byte for byte'
);

select * from finish();
rollback;
