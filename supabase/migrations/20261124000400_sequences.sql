-- Sequences of our tables: a project's default privileges give them to everyone, and nobody needs
-- them, as identity columns take their numbers with the table's rights.
revoke all on sequence public.pattern_trade_events_id_seq from anon, authenticated;
revoke all on sequence public.learning_runs_id_seq from anon, authenticated;
revoke all on sequence public.pm_dead_letters_id_seq from anon, authenticated;
revoke all on sequence pm_strength.lesson_sets_id_seq from anon, authenticated;
revoke all on sequence pm_strength.override_sets_id_seq from anon, authenticated;
