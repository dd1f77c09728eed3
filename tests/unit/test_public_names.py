"""The public names, locked: removing or adding one is a decision."""

import subprocess
import sys

import pm_strength


def test_the_public_names() -> None:
    assert sorted(pm_strength.__all__) == [
        "LearningSettings",
        "Match",
        "OverrideBook",
        "PmStrengthError",
        "Resolution",
        "StrengthClient",
        "apply_strength",
        "generate_canonical_pattern_key",
        "materialize_overrides",
        "mine_lessons",
    ]
    for name in pm_strength.__all__:
        assert getattr(pm_strength, name).__module__.startswith("pm_strength.")


def test_the_worker_needs_no_package_of_the_embedded_stack() -> None:
    script = (
        "import sys; sys.modules.update(dict.fromkeys(['psutil', 'psycopg', 'deno', 'pgmq']));"
        "from pm_strength.cli import app; from typer.testing import CliRunner;"
        "result = CliRunner().invoke(app, ['up']); print(result.exception)"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "install 'pm-strength[worker,local]'" in run.stdout


def test_the_runtime_imports_neither_pandas_nor_supabase() -> None:
    script = (
        "import sys; from pm_strength import OverrideBook, StrengthClient, apply_strength; "
        "print([m for m in ('pandas', 'numpy', 'scipy', 'numba', 'supabase', 'typer') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
