-- What no table takes, whoever writes it: the last line behind the worker's own checks.
begin;
select plan(22);
truncate public.pattern_trade_events, pm_strength.lessons, pm_strength.overrides, pm_strength.sets;

prepare event (text, text, text, jsonb, float8, float8) as
insert into public.pattern_trade_events (strand_id, trade_id, pattern_key, action_category, scope, rr, pnl_usd, "timestamp")
values ($1, '866be140-e3e7-522e-8e79-436a4227d831', $2, $3, $4, $5, $6, now());

select lives_ok($$ execute event('a', 'p', 'entry', '{}', 1, null) $$, 'an event is taken');
select throws_ok($$ execute event('a', 'p', 'entry', '{}', 1, null) $$, '23505', null, 'its action makes no second one');
select throws_ok(format('execute event(%s)', bad.event), '23514', null, format('not with %s', bad.event))
from (values
  ($$'b', '', 'entry', '{}', 1, null$$), ($$'b', 'p', 'hodl', '{}', 1, null$$), ($$'b', 'p', 'entry', '[]', 1, null$$),
  ($$'b', 'p', 'entry', '{}', 'nan', null$$), ($$'b', 'p', 'entry', '{}', 'infinity', null$$),
  ($$'b', 'p', 'entry', '{}', '-infinity', null$$), ($$'b', 'p', 'entry', '{}', 1, 'nan'$$)
) bad (event);
select throws_ok($$ execute event('b', 'p', 'entry', '{}', null, null) $$, '23502', null, 'nor without an outcome');

prepare override (text, jsonb, float8, float8) as
insert into public.pm_overrides (pattern_key, action_category, scope_subset, multiplier, confidence_score)
values ('p', $1, $2, $3, $4);
select lives_ok($$ execute override('entry', '{"rank": 1}', 1, 0.5) $$, 'an override is taken');
select throws_ok($$ execute override('entry', '{"rank": 1.0}', 1, 0.5) $$, '23505', null, '1.0 is 1');
select lives_ok($$ execute override('entry', '{"rank": "1"}', 1, 0.5) $$, 'but a text is another');
select throws_ok(format('execute override(%s)', bad.override), '23514', null, format('not with %s', bad.override))
from (values
  ($$'hodl', '{}', 1, 0.5$$), ($$'entry', '{}', -1000001, 0.5$$),
  ($$'entry', '{}', 'infinity', 0.5$$), ($$'entry', '{}', 'nan', 0.5$$), ($$'entry', '{}', 1, 'nan'$$)
) bad (override);

select throws_ok(
  $$ insert into public.pm_overrides (pattern_key, action_category, scope_subset, multiplier, confidence_score)
     values ('', 'entry', '{}', 1, 0.5) $$, '23514', null, 'nor for a pattern without a name'
);

insert into public.learning_lessons (pattern_key, action_category, scope_subset, n, stats)
values ('p', 'entry', '{"rank": 1}', 1, '{}');
select throws_ok(
  $$ insert into public.learning_lessons (pattern_key, action_category, scope_subset, n, stats)
     values ('p', 'entry', '{"rank": 1.0}', 1, '{}') $$, '23505', null, 'a lesson is in a set once'
);
select throws_ok($$ update public.pm_retention set keep_days = 0 $$, '23514', null, 'nothing is kept for no time');
select throws_ok(
  $$ insert into public.pm_dead_letters (queue, code, reason, message) values ('q', 'failed', 'r', '{}') $$,
  '23514', null, 'a dead letter is about something'
);

select * from finish();
rollback;
