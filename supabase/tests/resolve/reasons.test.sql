-- Every multiplier has a reason, a 1.0 too.
begin;
select plan(21);
truncate pm_strength.lessons, pm_strength.overrides, pm_strength.sets;
update public.learning_settings set settings = '{}';

create function pg_temp.answer(scope jsonb, pattern_key text default 'p', action_category text default 'entry')
returns text language sql as $$
  select format('%s %s %s', round((r ->> 'multiplier')::numeric, 6), r ->> 'reason', r ->> 'matched')
  from public.resolve_pm_strength(pattern_key, action_category, scope) r
$$;

set local role service_role;
select is(pg_temp.answer('{}'), '1.000000 no_match 0', 'nothing was learned yet');

insert into public.pm_overrides (pattern_key, action_category, scope_subset, multiplier, confidence_score) values
  ('p', 'entry', '{}', 2, 0.5), ('p', 'entry', '{"rank": 1}', 0.5, 0.5), ('p', 'entry', '{"rank": "1"}', 3, 0.5),
  ('p', 'entry', '{"a": true, "b": "x"}', 1.5, 0.25), ('p', 'add', '{}', 1.2, 0), ('q', 'entry', '{}', 9, 0.5), ('q', 'add', '{}', 0.1, 0.5);

select is(pg_temp.answer('{}'), '2.000000 matched 1', 'the empty subset holds everywhere');
select is(
  pg_temp.answer('{"rank": 1.0, "other": null}'),
  format('%s matched 2', round((2 * 0.5 + 0.5 * 0.5 * 2 ^ 1.5) / (0.5 + 0.5 * 2 ^ 1.5), 6)),
  '1 is 1.0, and the weights count dimensions'
);
select is(pg_temp.answer('{"rank": true}'), '2.000000 matched 1', 'true is not 1');
select is(pg_temp.answer(null), '2.000000 matched 1', 'no scope is an empty one');
select is(pg_temp.answer('[1]'), '2.000000 matched 1', 'a list is none');
select is(pg_temp.answer('{}', 'p', 'add'), '1.000000 zero_weight 1', 'no weight');
select is(pg_temp.answer('{}', 'p', 'trim'), '1.000000 no_match 0', 'another action');
select is(pg_temp.answer('{}', '', 'entry'), '1.000000 bad_input 0', 'no pattern');
select is(pg_temp.answer('{}', 'p', null), '1.000000 bad_input 0', 'no action');
select is(pg_temp.answer('{}', 'q', 'entry'), '3.000000 matched 1', 'clamped by the settings of now');

update public.learning_settings set settings = '{"multiplier_min": 0.9}';
select is(pg_temp.answer('{}', 'q', 'add'), '0.900000 matched 1', 'from below too');
update public.learning_settings set settings = '{"strategy": "most_specific", "multiplier_max": 1.25}';
select is(
  pg_temp.answer('{"rank": 1, "a": true, "b": "x"}'), '1.250000 matched 3', 'the most specific one, clamped'
);
update public.learning_settings set settings = '{}';
select is(
  jsonb_array_length(public.resolve_pm_strength('p', 'entry', '{"rank": 1, "a": true, "b": "x"}', 1) -> 'matches'),
  1, 'the heaviest on request'
);

reset role;
update public.pm_overrides set last_updated_at = now() - interval '25 hours';
set local role service_role;
select is(pg_temp.answer('{}'), '1.000000 stale 1', 'too old');
update public.learning_settings set settings = '{"stale_after_hours": 26}';
select is(pg_temp.answer('{}'), '2.000000 matched 1', 'or not, as set');

-- a materialization is as old as its publication, and its set is all that counts
reset role;
update public.learning_settings set settings = '{}';
update pm_strength.sets set state = 'kept' where kind = 'overrides';
insert into pm_strength.sets (id, kind, state, published_at) overriding system value values
  (1000007, 'overrides', 'live', now() - interval '23 hours'), (1000008, 'overrides', 'staging', null);
insert into pm_strength.overrides (id, pattern_key, action_category, scope_subset, multiplier, confidence_score, lead, dimensions)
select o.set_id << 26, 'p', 'entry', '{}', o.multiplier, 0.5,
  pm_strength.set_bits(o.set_id) # pm_strength.lead('p', 'entry', '{}'), 0
from (values (1000007::bigint, 1.5), (1000008, 0.5)) o (set_id, multiplier);
set local role service_role;
select is(pg_temp.answer('{}'), '1.500000 matched 1', 'a set that is staged, or was live before, is not resolved with');
select is(
  jsonb_path_query_array(public.resolve_pm_strength_batch('[{"pattern_key": "p", "action_category": "entry"}]'), '$[*].multiplier'),
  '[1.5]', 'in a batch neither'
);
reset role;
update pm_strength.sets set published_at = now() - interval '25 hours' where id = 1000007;
set local role service_role;
select is(pg_temp.answer('{}'), '1.000000 stale 1', 'published long ago');
select is(
  (public.pm_strength_read_overrides() ->> 'as_of')::timestamptz, now() - interval '25 hours', 'as the book is told'
);

select throws_matching(
  $$ select public.resolve_pm_strength('p', 'entry', '{}', -1) $$, 'match_limit: expected a number from 0 on', 'a limit below 0 is refused by name'
);

select * from finish();
rollback;
