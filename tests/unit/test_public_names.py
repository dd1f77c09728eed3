"""The public names, locked: removing or adding one is a decision."""

import pm_strength


def test_the_public_names() -> None:
    assert sorted(pm_strength.__all__) == [
        "Candidate",
        "LearningSettings",
        "Match",
        "OverrideBook",
        "PmStrengthError",
        "Resolution",
        "StrengthClient",
        "apply_strength",
        "book_at",
        "evaluate",
        "generate_canonical_pattern_key",
        "materialize_overrides",
        "mine_lessons",
    ]
    for name in pm_strength.__all__:
        assert getattr(pm_strength, name).__module__.startswith("pm_strength.")
