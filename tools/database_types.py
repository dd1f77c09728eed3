"""`make types`: the database's types for the edge functions, as the Supabase CLI generates them."""

from __future__ import annotations

import tempfile
from pathlib import Path

from pm_strength.local.stack import Stack
from tests.integration.test_supabase_cli import TYPES, generated_types


def main() -> None:
    """Write them anew from the migrations."""
    with tempfile.TemporaryDirectory() as folder:
        stack = Stack(Path(folder) / "stack")
        try:
            TYPES.write_text(generated_types(stack.up().variables()["DB_URL"]))
        finally:
            stack.down(purge=True)


if __name__ == "__main__":
    main()
