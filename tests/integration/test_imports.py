"""What a process imports, and what it can do without."""

import subprocess
import sys


def test_the_worker_needs_no_package_of_the_embedded_stack() -> None:
    script = (
        "import sys; sys.modules.update(dict.fromkeys(['psutil', 'psycopg', 'deno', 'pgmq']));"
        "from pm_strength.cli import app; from typer.testing import CliRunner;"
        "result = CliRunner().invoke(app, ['up']); print(result.exception)"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "install 'pm-strength[worker,local]'" in run.stdout


def test_a_command_that_mines_nothing_does_not_wait_for_what_mining_imports() -> None:
    script = (
        "import sys, pm_strength.cli; print([m for m in ('pandas', 'scipy', 'numba') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_the_runtime_imports_neither_pandas_nor_supabase() -> None:
    script = (
        "import sys; from pm_strength import OverrideBook, StrengthClient, apply_strength; "
        "print([m for m in ('pandas', 'numpy', 'scipy', 'numba', 'supabase', 'typer') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
