"""The programs that Apache Kafka needs: Java, and the jars that `pom.xml` pins."""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from deploy.local.process import Child, StackError, last_lines

POM = Path(__file__).with_name("pom.xml")
_OLDEST_JAVA = 17
_POLL_SECONDS = 0.1
_VERSION = re.compile(r'version "(?:1\.)?(\d+)')


def java() -> str:
    """The `java` of JAVA_HOME or of the path. Raises StackError if it is missing or too old."""
    home = os.environ.get("JAVA_HOME")
    at_home = shutil.which("java", path=str(Path(home, "bin"))) if home else None
    program = at_home or shutil.which("java")
    if program is None:
        raise StackError(
            f"Java is not installed, and Apache Kafka runs on it; install {_OLDEST_JAVA} or newer, "
            "for instance: apt-get install default-jre-headless, or: brew install openjdk"
        )
    told = subprocess.run([program, "-version"], capture_output=True, text=True, check=False)
    found = _VERSION.search(told.stderr + told.stdout)
    if found is None or int(found[1]) < _OLDEST_JAVA:
        version = found[1] if found else f"unknown ({told.stderr.strip()[:200]})"
        raise StackError(
            f"Apache Kafka needs Java {_OLDEST_JAVA} or newer; the version of {program} is "
            f"{version}. Install a newer one, or have JAVA_HOME point to it"
        )
    return program


async def jars() -> Path:
    """The folder of Kafka's jars; Maven fetches them once for each content of `pom.xml`.

    They are kept in the user's cache folder, or in `UPDRAFT_CACHE`. Raises StackError if Maven is
    missing or fails.
    """
    version = hashlib.sha256(POM.read_bytes()).hexdigest()[:16]
    folder = _cache() / f"apache-kafka-{version}"
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    async with _alone(folder.with_suffix(".lock")):
        if not folder.is_dir():
            await _fetch(folder)
    return folder


def _cache() -> Path:
    chosen = os.environ.get("UPDRAFT_CACHE")
    if chosen:
        return Path(chosen).resolve()
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "updraft"


@asynccontextmanager
async def _alone(lock: Path) -> AsyncIterator[None]:
    """While one process fetches, others who want the same wait here."""
    with lock.open("w") as claim:
        while True:
            try:
                fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                await asyncio.sleep(_POLL_SECONDS)
        yield


async def _fetch(folder: Path) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise StackError(
            "Maven is not installed, and it brings Apache Kafka's jars the first time; "
            "for instance: apt-get install maven, or: brew install maven"
        )
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".kafka-") as name:
        draft = Path(name)
        # Maven writes beside the pom that it is given.
        shutil.copy(POM, draft / "pom.xml")
        command = [maven, "--batch-mode", "--strict-checksums", "--file", str(draft / "pom.xml")]
        goal = ["dependency:copy-dependencies", f"-DoutputDirectory={draft / 'jars'}"]
        child = Child.spawn("Maven", [*command, *goal], log=draft / "maven.log")
        try:
            await _finished(child)
        finally:
            child.kill()
        if child.process.returncode != 0:
            raise StackError(
                "Maven could not fetch Apache Kafka: it needs the network this once, and reads its "
                f"mirrors and proxies from ~/.m2/settings.xml.\n{last_lines(child.log)}"
            )
        # Whole or not at all.
        (draft / "jars").rename(folder)


async def _finished(maven: Child) -> None:
    """Wait for Maven and show what it has fetched; how much that will be, it does not know."""
    console = Console(stderr=True)
    console.print("Fetching Apache Kafka by Maven (45 MB, only this once) …", highlight=False)
    columns = (SpinnerColumn(), TextColumn("{task.completed} files"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("Maven", total=None)
        while maven.running:
            fetched = maven.log.read_text(errors="replace").count("Downloaded from")
            progress.update(task, completed=fetched)
            await asyncio.sleep(_POLL_SECONDS)
