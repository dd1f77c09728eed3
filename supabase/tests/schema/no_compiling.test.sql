-- A function that rules out kinds of plans makes Postgres take them for costly, and compile them (jit) for
-- half a second a call.
begin;
select plan(2);

create temp view ruled as
select p.oid::regprocedure as function, p.proconfig
from pg_proc p
where p.pronamespace in ('public'::regnamespace, 'pm_strength'::regnamespace)
  and exists (select from unnest(p.proconfig) c where c like 'enable\_%=off');

select ok((select count(*) > 8 from ruled), 'there are such functions');
select is_empty(
  $$ select function from ruled where not 'jit=off' = any (proconfig) $$, 'they are not compiled'
);

select * from finish();
rollback;
