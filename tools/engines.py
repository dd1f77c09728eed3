"""`make test-engines`: what Dask and Spark need here: Java, and Postgres' driver for it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

JAVA = "openjdk-17-jre-headless"
JAR = "libpostgresql-jdbc-java"


def main() -> int:
    """Install Debian's packages, if they are not here and this is root."""
    missing = [JAVA] if shutil.which("java") is None else []
    if not Path("/usr/share/java/postgresql.jar").exists():
        missing.append(JAR)
    if not missing:
        return 0
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        sys.exit(f"Install {' and '.join(missing)} (or run this as root).")
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for command in (["update", "-q"], ["install", "-q", "-y", "--no-install-recommends", *missing]):
        subprocess.run(["apt-get", *command], env=environment, check=True, stdout=subprocess.DEVNULL)
    return 0


if __name__ == "__main__":
    sys.exit(main())
