-- A settings row is checked when it is written, and the error names the key.
begin;
select plan(36);

prepare set_settings (jsonb) as update public.learning_settings set settings = $1 where module = 'pm';

select throws_ok(
  format('execute set_settings(%L)', jsonb_build_object(bad.key, bad.value::jsonb)),
  '23514', null, format('%s = %s is refused', bad.key, bad.value)
)
from (values
  ('n_min', '0'), ('n_min', '1.5'), ('n_min', '"5"'), ('n_min', 'null'), ('n_min', 'true'), ('n_min', '1e999'),
  ('var_prior', '-0.1'), ('var_prior', '1e400'), ('edge_threshold', '-1'), ('edge_threshold', 'null'),
  ('multiplier_min', '1.1'), ('multiplier_min', '-0.1'), ('multiplier_max', '0.9'),
  ('specificity_alpha', '-1'), ('strategy', '"mean"'), ('strategy', 'null'), ('outcome', '"profit"'),
  ('scope_dims', '"chain"'), ('scope_dims', '[1]'), ('scope_dims', '[""]'), ('max_dims', '-1'),
  ('max_dims', '0.5'), ('max_lessons', '0'), ('stale_after_hours', '0'), ('n_max', '5')
) bad (key, value);

select throws_matching(
  $$ execute set_settings('{"n_min": 0}') $$, 'n_min: expected an integer from 1 to 2147483647, got 0', 'the key is named'
);
select throws_matching($$ execute set_settings('[]') $$, 'settings: expected a JSON object', 'so is a wrong shape');

select lives_ok(format('execute set_settings(%L)', good.settings), good.settings || ' is taken')
from (values
  ('{}'), ('{"n_min": 1}'), ('{"max_dims": null}'), ('{"scope_dims": []}'),
  ('{"scope_dims": ["chain"], "strategy": "most_specific"}'),
  ('{"multiplier_min": 0, "multiplier_max": 1}')
) good (settings);

update public.learning_settings set settings = '{"n_min": 5}';
select is(
  pm_strength.effective_settings('pm') ->> 'n_min', '5', 'what is set counts'
);
select is(pm_strength.effective_settings('pm') ->> 'max_dims', '3', 'what is not set takes its default');

alter table public.learning_settings drop constraint learning_settings_valid;
update public.learning_settings set settings = '{"n_min": 0, "strategy": "most_specific"}';
select is(
  pm_strength.effective_settings('pm'), pm_strength.default_settings(),
  'a row that is invalid all the same counts for nothing'
);

select * from finish();
rollback;
