"""`make test-pg15`: pgTAP, pg_cron and the integration tests on Debian's Postgres 15."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import psycopg

from pm_strength.local.binaries import PG_BIN_VARIABLE
from pm_strength.local.postgres import SUPERUSER
from pm_strength.local.stack import Stack

ROOT = Path(__file__).parents[1]
PG_BIN = Path(os.environ.get("PG15_BIN", "/usr/lib/postgresql/15/bin"))
PACKAGES = (
    *("postgresql-15", "postgresql-15-pgtap", "postgresql-15-plpgsql-check", "postgresql-15-cron"),
    # brings pg_prove, which pgtap only recommends
    "libtap-parser-sourcehandler-pgtap-perl",
)
# What says little about the version of Postgres; PG15=short leaves it out.
APART = [
    "cli",
    "client_fork",
    "client_waits",
    "docs",
    "examples",
    "gateway",
    "health",
    "imports",
    "local_users",
    "openapi",
    "output",
    "secrets",
    "stack",
    "tokens",
    "transport",
]
NOTHING = """
    alter default privileges in schema public revoke all on tables from anon, authenticated, service_role;
    alter default privileges in schema public revoke all on sequences from anon, authenticated, service_role;
    alter default privileges in schema public revoke all on functions from anon, authenticated, service_role;
"""


def main() -> int:
    """Run all; the exit code is 0 if all passed."""
    install()
    failures = run_pgtap(sorted((ROOT / "supabase" / "tests").rglob("*.test.sql")))
    # a project may give new objects to everyone, as Supabase does, or to nobody
    failures += run_pgtap(sorted((ROOT / "supabase" / "tests" / "permissions").glob("*.test.sql")), NOTHING)
    environment = os.environ | {PG_BIN_VARIABLE: str(PG_BIN)}
    parallel = os.environ.get("PARALLEL", "").split()
    tests = [sys.executable, "-m", "pytest", "tests/integration", "-m", "not slow", *parallel]
    if environment.get("PG15") == "short":
        apart = [f"tests/integration/test_{name}.py" for name in APART]
        assert all((ROOT / path).exists() for path in apart)
        tests += [f"--ignore={path}" for path in apart]
    failures += subprocess.run(tests, cwd=ROOT, env=environment, check=False).returncode != 0
    return 1 if failures else 0


def install() -> None:
    """Debian's packages, if they are not here and this is root."""
    share = Path("/usr/share/postgresql/15/extension")
    wanted = ("pgtap.control", "plpgsql_check.control", "pg_cron.control")
    if (
        (PG_BIN / "pg_ctl").exists()
        and shutil.which("pg_prove")
        and all((share / name).exists() for name in wanted)
    ):
        return
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        sys.exit(
            f"Postgres 15 is not complete in {PG_BIN}. Install {' '.join(PACKAGES)} (or run this as root)."
        )
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    # the package would start a cluster of its own, which nobody needs
    policy = Path("/etc/postgresql-common/createcluster.conf")
    if not policy.exists():
        policy.parent.mkdir(parents=True, exist_ok=True)
        policy.write_text("create_main_cluster = false\n")
    for command in (["update", "-q"], ["install", "-q", "-y", "--no-install-recommends", *PACKAGES]):
        subprocess.run(["apt-get", *command], env=environment, check=True, stdout=subprocess.DEVNULL)


def run_pgtap(files: list[Path], first: str = "") -> int:
    """These files on a stack of its own, that ran `first` before the migrations; 1 if one failed."""
    with tempfile.TemporaryDirectory() as folder:
        stack = Stack(Path(folder) / "stack", pg_bin=PG_BIN)
        try:
            url = stack.up(migrate_schema=False).db_url
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute(first.encode())
            stack.up()
            add_extensions(stack)
            prove = ["pg_prove", "--failures", "-d", url, *map(str, files)]
            # psql must find the programs of this Postgres, not of another
            environment = os.environ | {"PATH": f"{PG_BIN}:{os.environ['PATH']}"}
            return int(subprocess.run(prove, env=environment, check=False).returncode != 0)
        finally:
            stack.down(purge=True)


def add_extensions(stack: Stack) -> None:
    """pgTAP, plpgsql_check and pg_cron, as a hosted project offers them."""
    superuser = stack.postgres().url(SUPERUSER)
    with psycopg.connect(superuser, autocommit=True) as connection:
        connection.execute("alter system set shared_preload_libraries = 'pg_cron'")
    stack.restart("postgres")
    with psycopg.connect(superuser, autocommit=True) as connection:
        connection.execute("create extension pgtap with schema extensions")
        connection.execute("create extension plpgsql_check with schema extensions")
        connection.execute("create extension pg_cron")
        connection.execute("grant usage on schema cron to postgres")
        connection.execute("grant select on cron.job to postgres")


if __name__ == "__main__":
    sys.exit(main())
