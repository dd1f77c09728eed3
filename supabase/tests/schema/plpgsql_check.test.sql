-- plpgsql_check reads every function and finds nothing, performance and security included.
begin;
select plan(2);

select is_empty(
  $$ select c.* from pg_proc p
     join pg_language l on l.oid = p.prolang and l.lanname = 'plpgsql'
     cross join lateral extensions.plpgsql_check_function(
       p.oid, other_warnings => true, extra_warnings => true, performance_warnings => false,
       security_warnings => true
     ) c
     where (p.pronamespace = 'pm_strength'::regnamespace or p.proname ~ 'pm_strength')
       and p.prorettype <> 'trigger'::regtype $$,
  'no function has an error or a warning'
);
select is_empty(
  $$ select c.* from unnest(array['INSERT', 'UPDATE']) operation
     cross join lateral extensions.plpgsql_check_function(
       'pm_strength.enqueue_closed()', relid => 'public.ad_strands',
       newtable => 'new_strands', oldtable => 'old_strands'
     ) c $$,
  'the trigger neither'
);

select * from finish();
rollback;
