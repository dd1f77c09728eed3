"""`make test-image`: builds the worker's image with buildah, and runs it against an embedded stack.

The base image is made with debootstrap and named as the Dockerfile's BASE, so nothing is pulled.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import psycopg

from pm_strength.local.stack import Stack
from tests.benchmarks.capture_data import copy_strands, trade_rows

ROOT = Path(__file__).parents[1]
DOCKERFILE = ROOT / "worker" / "Dockerfile"
IMAGE = "localhost/pm-strength-worker"
PACKAGES = ("buildah", "debootstrap")
MAX_MB = 400
UID = "10001"


def main() -> int:
    """Build, look, run; the exit code is 0 if all is as it should be."""
    install()
    build()
    added, compressed = image_mb()
    print(f"adds {added} MB to its base; {compressed} MB compressed, as it is pulled", flush=True)
    assert added < MAX_MB
    assert compressed < MAX_MB
    container = out("buildah", "from", IMAGE)
    try:
        look(container)
        run(container)
    finally:
        subprocess.run(["buildah", "rm", container], check=False, stdout=subprocess.DEVNULL)
    print("the image works", flush=True)
    return 0


def out(*command: str) -> str:
    """What a command prints; raises if it fails."""
    return subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE).stdout.strip()


def install() -> None:
    """Debian's packages, if they are not here and this is root."""
    os.environ |= {"STORAGE_DRIVER": "vfs", "BUILDAH_ISOLATION": "chroot"}
    if all(shutil.which(name) for name in PACKAGES):
        return
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        sys.exit(f"Install {' and '.join(PACKAGES)} (or run this as root).")
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for command in (["update", "-q"], ["install", "-q", "-y", "--no-install-recommends", *PACKAGES]):
        subprocess.run(["apt-get", *command], env=environment, check=True, stdout=subprocess.DEVNULL)


def base_name() -> str:
    """The image that the Dockerfile builds on."""
    found = re.search(r"^ARG BASE=(\S+)", DOCKERFILE.read_text(), re.MULTILINE)
    assert found is not None
    return found[1]


def make_base() -> None:
    """A Debian with Python under the name of the base image, unless there is one."""
    name = f"docker.io/library/{base_name()}"
    there = subprocess.run(["buildah", "inspect", "--type", "image", name], capture_output=True, check=False)
    if there.returncode == 0:
        return
    with tempfile.TemporaryDirectory() as folder:
        packages = "python3,python3-venv,ca-certificates"
        command = ["debootstrap", "--variant=minbase", f"--include={packages}", "bookworm", folder]
        subprocess.run([*command, *mirror()], check=True, stdout=subprocess.DEVNULL)
        container = out("buildah", "from", "scratch")
        out("buildah", "add", container, folder, "/")
        out("buildah", "commit", "--rm", container, name)


def mirror() -> list[str]:
    """Where this machine gets Debian's packages."""
    sources = [Path("/etc/apt/sources.list"), *Path("/etc/apt/sources.list.d").glob("*")]
    text = "\n".join(path.read_text() for path in sources if path.is_file())
    found = re.findall(r"(?:^deb(?: \[[^\]]*\])? |^URIs: )(\S+)", text, re.MULTILINE)
    return [url for url in found if url.rstrip("/").endswith("/debian")][:1]


def build() -> None:
    """The image, as `docker build -f worker/Dockerfile .` makes it."""
    make_base()
    # where packages come through a proxy with its own certificate, pip must know it; the image must not
    bundle = os.environ.get("PIP_CERT")
    volumes = [f"--volume={bundle}:/etc/ssl/certs/ca-certificates.crt:ro"] if bundle else []
    command = ["buildah", "build", "--network=host", "--pull=never", "--format=docker", *volumes]
    subprocess.run([*command, "-f", str(DOCKERFILE), "-t", IMAGE, str(ROOT)], check=True)


def image_mb() -> tuple[int, int]:
    """What the image adds to its base, unpacked; and all of it packed."""
    sizes = []
    for name in (IMAGE, f"docker.io/library/{base_name()}"):
        container = out("buildah", "from", name)
        folder = out("buildah", "mount", container)
        sizes.append(int(out("du", "-sm", folder).split()[0]))
        if name == IMAGE:
            packed = out("sh", "-c", f"tar -C '{folder}' -c . | gzip -6 | wc -c")
        out("buildah", "rm", container)
    print(f"whole image {sizes[0]} MB, base {sizes[1]} MB", flush=True)
    return sizes[0] - sizes[1], int(packed) // 2**20


def look(container: str) -> None:
    """Nobody's rights, nothing writable, nothing secret."""
    config = out(
        "buildah", "inspect", "--format", "{{.Docker.Config.User}} {{.Docker.Config.StopSignal}}", container
    )
    assert config == f"{UID} SIGTERM", config
    assert "healthz" in out("buildah", "inspect", "--format", "{{.Docker.Config.Healthcheck}}", container)
    assert out("buildah", "run", container, "--", "id", "-u") == UID
    script = "import os; print([p for p in ('/', '/opt/pm-strength', '/usr') if os.access(p, os.W_OK)])"
    assert out("buildah", "run", container, "--", "python3", "-c", script) == "[]"
    folder = Path(out("buildah", "mount", container))
    assert not list(folder.glob("**/.env")), "an .env went along"
    bundle = os.environ.get("PIP_CERT")
    certificates = folder / "etc/ssl/certs/ca-certificates.crt"
    assert bundle is None or certificates.read_bytes() != Path(bundle).read_bytes(), (
        "a certificate went along"
    )


@contextlib.contextmanager
def stack() -> Iterator[dict[str, str]]:
    """An embedded stack of its own."""
    with tempfile.TemporaryDirectory() as folder:
        running = Stack(Path(folder) / "stack")
        try:
            yield running.up().variables()
        finally:
            running.down(purge=True)


def run(container: str) -> None:
    """The worker in the image captures, mines and materializes; SIGTERM ends it with 0."""
    with stack() as variables, psycopg.connect(variables["DB_URL"], autocommit=True) as db:
        copy_strands(db, trade_rows(200))
        port = free_port()
        environment = {
            "SUPABASE_URL": variables["API_URL"],
            "SUPABASE_SECRET_KEY": variables["SECRET_KEY"],
            "PM_STRENGTH_PORT": str(port),
        }
        options = [f"--env={name}={value}" for name, value in environment.items()]
        command = ["buildah", "run", "--network=host", *options, container, "--", "pm-strength", "worker"]
        running = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        try:
            wait_for(lambda: httpx.get(f"http://127.0.0.1:{port}/readyz").status_code == 200, 60)
            wait_for(
                lambda: db.execute("select count(*) > 800 from pattern_trade_events").fetchone() == (True,),
                60,
            )
            for job in ("mine", "materialize"):
                db.execute("select public.pm_strength_enqueue_job(%s)", (job,))
                wait_for(
                    lambda job=job: (
                        db.execute(
                            "select 1 from learning_runs where kind = %s and status = 'succeeded'", (job,)
                        ).fetchone()
                        is not None
                    ),
                    180,
                )
            metrics = httpx.get(f"http://127.0.0.1:{port}/metrics").text
            assert 'pm_strength_messages_total{result="done"} 200.0' in metrics, metrics
            workers = [
                process
                for process in psutil.Process(running.pid).children(recursive=True)
                if "pm-strength" in " ".join(process.cmdline()) and "buildah" not in process.name()
            ]
            worker = workers[-1]
            assert worker.uids().real == int(UID)
            worker.send_signal(signal.SIGTERM)
            assert running.wait(timeout=15) == 0
        finally:
            if running.poll() is None:
                for process in psutil.Process(running.pid).children(recursive=True):
                    process.kill()
                running.kill()
            said = running.communicate()[1]
            print(said[-3000:] if running.returncode else "stopped by SIGTERM with 0", flush=True)
        assert variables["SECRET_KEY"] not in said


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(done, seconds: float) -> None:  # type: ignore[no-untyped-def]
    """Until it is so; a connection that is refused is not yet so."""
    end = time.monotonic() + seconds
    while True:
        with contextlib.suppress(httpx.HTTPError):
            if done():
                return
        assert time.monotonic() < end, f"not so after {seconds} s"
        time.sleep(0.2)


if __name__ == "__main__":
    sys.exit(main())
