"""What Apache Kafka needs of the machine, with programs that only pretend to be Java and Maven."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from deploy.local.kafka.jars import jars, java
from deploy.local.process import StackError

FETCHES = """#!/bin/sh
echo called >> "$UPDRAFT_CACHE/calls"
for argument; do
  case "$argument" in -DoutputDirectory=*) folder="${argument#*=}";; esac
done
/bin/mkdir "$folder" && echo jar > "$folder/kafka.jar"
"""
FAILS = """#!/bin/sh
echo called >> "$UPDRAFT_CACHE/calls"
echo "Could not resolve a thing"
exit 1
"""


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder that programs are looked for in."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("UPDRAFT_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    return folder


def program(folder: Path, name: str, script: str) -> Path:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(script)
    file.chmod(0o755)
    return file


def says(version: str) -> str:
    return f"#!/bin/sh\necho 'openjdk version \"{version}\" 2025-04-15' >&2\n"


def test_missing_java_is_told_with_how_to_install_it(programs: Path) -> None:
    with pytest.raises(StackError, match=r"Java is not installed.*apt-get install default-jre"):
        java()


@pytest.mark.parametrize(("version", "major"), [("1.8.0_402", "8"), ("11.0.22", "11")])
def test_an_old_java_is_told_with_its_version(programs: Path, version: str, major: str) -> None:
    program(programs, "java", says(version))

    with pytest.raises(StackError, match=rf"needs Java 17 or newer; .*/java is {major}\."):
        java()


@pytest.mark.parametrize("version", ["17", "17.0.15", "21-ea", "25.0.1"])
def test_a_new_java_will_do(programs: Path, version: str) -> None:
    assert java_at(program(programs, "java", says(version)))


def test_the_java_of_java_home_comes_first(
    programs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(programs, "java", says("11.0.1"))
    chosen = program(tmp_path / "home" / "bin", "java", says("21.0.1"))
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "home"))

    assert java_at(chosen)


def java_at(file: Path) -> bool:
    return Path(java()) == file


def test_missing_maven_is_told_with_how_to_install_it(programs: Path) -> None:
    with pytest.raises(StackError, match=r"Maven is not installed.*apt-get install maven"):
        asyncio.run(jars())


def test_maven_is_called_once(programs: Path, tmp_path: Path) -> None:
    program(programs, "mvn", FETCHES)

    async def several() -> list[Path]:
        return list(await asyncio.gather(jars(), jars(), jars()))

    (folder,) = set(asyncio.run(several()) + asyncio.run(several()))

    assert [jar.name for jar in folder.iterdir()] == ["kafka.jar"]
    assert (tmp_path / "cache" / "calls").read_text() == "called\n"


def test_a_maven_that_fails_is_told_with_its_last_lines_and_asked_again(
    programs: Path, tmp_path: Path
) -> None:
    program(programs, "mvn", FAILS)
    for _ in range(2):
        with pytest.raises(StackError, match=r"(?s)settings.xml.*Could not resolve a thing"):
            asyncio.run(jars())
    assert (tmp_path / "cache" / "calls").read_text() == "called\ncalled\n"

    program(programs, "mvn", FETCHES)

    assert (asyncio.run(jars()) / "kafka.jar").exists()
