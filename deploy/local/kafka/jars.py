"""The programs that Apache Kafka needs: Java, and the jars that `pom.xml` pins."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deploy.local.process import StackError, last_lines

POM = Path(__file__).with_name("pom.xml")
_OLDEST_JAVA = 17
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


def jars() -> Path:
    """The folder of Kafka's jars; Maven fetches them once for each content of `pom.xml`.

    They are kept in the user's cache folder, or in `UPDRAFT_CACHE`. Raises StackError if Maven is
    missing or fails.
    """
    version = hashlib.sha256(POM.read_bytes()).hexdigest()[:16]
    folder = _cache() / f"apache-kafka-{version}"
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _alone(folder.with_suffix(".lock")):
        if not folder.is_dir():
            _fetch(folder)
    return folder


def _cache() -> Path:
    chosen = os.environ.get("UPDRAFT_CACHE")
    if chosen:
        return Path(chosen).resolve()
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "updraft"


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """While one process fetches, others who want the same wait here."""
    with lock.open("w") as claim:
        fcntl.flock(claim, fcntl.LOCK_EX)
        yield


def _fetch(folder: Path) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise StackError(
            "Maven is not installed, and it brings Apache Kafka's jars the first time; "
            "for instance: apt-get install maven, or: brew install maven"
        )
    print("Fetching Apache Kafka by Maven (45 MB, once) …", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".kafka-") as name:
        draft = Path(name)
        # Maven writes beside the pom that it is given.
        shutil.copy(POM, draft / "pom.xml")
        log = draft / "maven.log"
        goal = ["dependency:copy-dependencies", f"-DoutputDirectory={draft / 'jars'}"]
        command = [maven, "--batch-mode", "--strict-checksums", "--file", str(draft / "pom.xml")]
        with log.open("wb") as output:
            # On a terminal Maven shows its own progress; it can take minutes on a slow line.
            shown = None if sys.stderr.isatty() else output
            done = subprocess.run(
                [*command, *goal], stdin=subprocess.DEVNULL, stdout=shown, stderr=shown, check=False
            )
        if done.returncode != 0:
            raise StackError(
                "Maven could not fetch Apache Kafka; it needs the network once, and reads its "
                f"mirrors and proxies from ~/.m2/settings.xml. {last_lines(log)}".rstrip()
            )
        # Whole or not at all.
        (draft / "jars").rename(folder)
