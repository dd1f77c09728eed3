"""Applies `supabase/migrations`, and records them where the Supabase CLI does."""

from __future__ import annotations

from pathlib import Path

from ..errors import StackError
from .project import migrations_folder

# The table of the CLI, so that `supabase migration list` and `db push` know what is applied.
_HISTORY = """
create schema if not exists supabase_migrations;
create table if not exists supabase_migrations.schema_migrations (version text not null primary key);
alter table supabase_migrations.schema_migrations add column if not exists statements text[];
alter table supabase_migrations.schema_migrations add column if not exists name text;
"""


def migrate(db_url: str, folder: Path | None = None) -> list[str]:
    """Apply the missing migrations, each in its own transaction. Returns their versions.

    Raises `StackError` with the name of the file that failed.
    """
    import psycopg

    applied: list[str] = []
    with psycopg.connect(db_url, autocommit=True) as connection:
        connection.execute(_HISTORY.encode())
        done = {
            row[0] for row in connection.execute("select version from supabase_migrations.schema_migrations")
        }
        for path in sorted((folder or migrations_folder()).glob("*.sql")):
            version, _, name = path.stem.partition("_")
            if version in done:
                continue
            script = path.read_text(encoding="utf-8")
            try:
                with connection.transaction():
                    connection.execute(script.encode())
                    connection.execute("reset all")
                    connection.execute(
                        "insert into supabase_migrations.schema_migrations (version, name, statements) "
                        "values (%s, %s, %s)",
                        (version, name, [script]),
                    )
            except psycopg.Error as error:
                raise StackError(f"Migration {path.name} failed: {error}") from error
            applied.append(version)
    return applied
