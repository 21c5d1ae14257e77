"""The commands on a copy of the tree: breaking changes fail, also when the schema is rewritten."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.contracts.gate import breakages, remedy, stale_schemas
from deploy.contracts.schemas import ROOT, write_schema
from shared.catalogue import EVENT_TYPES, GoalReached, GoalSet

MEETINGS = "shared/catalogue/meetings.py"
GOAL = "shared/contracts/updraft.goal.set.v1.json"


class Tree:
    """A copy of what `updraft contracts` reads and writes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("shared", "services", "deploy"):
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("*.pyc"))
        shutil.copytree(ROOT / "tests/contracts/golden", folder / "tests/contracts/golden")
        shutil.copy(ROOT / "pyproject.toml", folder)

    def edit(self, file: str, old: str, new: str) -> None:
        path = self.folder / file
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))

    def contracts(self, command: str) -> tuple[int, str]:
        """Exit code and all output, in the copy's own code."""
        done = subprocess.run(
            [sys.executable, "-m", "deploy.cli", "contracts", command],
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": str(self.folder), "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr


def commit(folder: Path) -> None:
    """Make the folder a repository and commit all of it."""
    identity = ("-c", "user.name=A", "-c", "user.email=a@example.com")
    for arguments in (("init", "-q"), ("add", "-A"), (*identity, "commit", "-qm", "all")):
        subprocess.run(["git", *arguments], cwd=folder, check=True)


@pytest.fixture(autouse=True)
def _no_repository_around(monkeypatch: pytest.MonkeyPatch) -> None:
    # A hook that runs the tests names its own repository.
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path / "tree")


def test_a_breaking_change_fails_the_check_and_cannot_be_written(tree: Tree) -> None:
    tree.edit(MEETINGS, "    set_by: Role\n", "    set_by: EmployeeId\n")
    for command in ("check", "write"):
        code, said = tree.contracts(command)
        assert code == 1
        assert "breaking: updraft.goal.set.v1 (GoalSet): data.set_by: " in said
        assert "add updraft.goal.set.v2 beside it" in said
        assert "add updraft.goal.reached.v2 beside it" in said


def test_a_break_that_our_own_examples_trip_over_is_told_like_any_other(tree: Tree) -> None:
    tree.edit(MEETINGS, "    set_by: Role\n", "    decided_by: Role\n")
    code, said = tree.contracts("check")
    assert code == 1
    assert "breaking: updraft.goal.set.v1 (GoalSet): data.set_by: " in said
    assert "Traceback" not in said


def test_an_additive_change_passes_once_it_is_written(tree: Tree) -> None:
    tree.edit(MEETINGS, "    set_by: Role\n", '    mood: Text = "good"\n    set_by: Role\n')
    code, said = tree.contracts("check")
    assert code == 1
    assert "out of date: updraft.goal.reached.v1, updraft.goal.set.v1" in said
    assert "breaking" not in said
    code, said = tree.contracts("write")
    assert code == 0, said
    code, said = tree.contracts("check")
    # A field more wants a golden record that shows it.
    assert said.splitlines() == [
        f"golden: updraft.goal.{name}.v1: no golden record sets data.mood; add it to one"
        for name in ("set", "reached")
    ]
    for name in ("set", "reached"):
        golden = tree.folder / f"tests/contracts/golden/updraft.goal.{name}.v1.json"
        text = golden.read_text().replace('"set_by"', '"mood": "better", "set_by"')
        golden.with_suffix(".mood.json").write_text(text)
    code, said = tree.contracts("check")
    assert code == 0, said
    assert "compared with the kept files only" in said


def test_what_git_remembers_cannot_be_rewritten(tree: Tree) -> None:
    commit(tree.folder)
    told = '    TYPE = "updraft.goal.set.v1"\n'
    tree.edit(MEETINGS, told, f'{told}    KEY = "goal_id"\n')
    # Somebody helps the schema along by hand, and then it says what the code says.
    tree.edit(GOAL, '"x-key": "pair_id"', '"x-key": "goal_id"')
    code, said = tree.contracts("check")
    assert code == 1
    assert "updraft.goal.set.v1 (GoalSet): x-key: changed from pair_id to goal_id" in said
    (tree.folder / GOAL).unlink()
    code, said = tree.contracts("write")
    assert code == 1
    assert "x-key: changed from pair_id to goal_id" in said


def test_the_check_is_part_of_make_check() -> None:
    recipe = re.search(r"^check:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert recipe is not None
    assert "updraft contracts check" in recipe[1]


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """A folder with the schema of every event, in no repository yet."""
    folder = tmp_path / "kept"
    folder.mkdir()
    for event in EVENT_TYPES:
        write_schema(event, folder)
    return folder


def test_without_commits_the_kept_files_are_what_was_published(kept: Path) -> None:
    subprocess.run(["git", "init", "-q"], cwd=kept.parent, check=True)
    assert breakages(kept, root=kept.parent) == []
    left = [event for event in EVENT_TYPES if event is not GoalSet]
    found = breakages(kept, left, root=kept.parent)
    told = "(not in the catalogue): the type is gone; records of it are still on its topic"
    assert [str(one) for one in found] == [f"{GoalSet.TYPE} {told}"]
    assert list(stale_schemas(kept, left)) == [GoalSet.TYPE]


def test_a_type_that_only_an_older_commit_held_is_still_published(kept: Path) -> None:
    commit(kept.parent)
    (kept / f"{GoalSet.TYPE}.json").unlink()
    commit(kept.parent)
    left = [event for event in EVENT_TYPES if event is not GoalSet]
    assert [one.event_type for one in breakages(kept, left, root=kept.parent)] == [GoalSet.TYPE]


def test_a_schema_that_was_never_committed_may_still_change(kept: Path) -> None:
    fresh = kept / f"{GoalSet.TYPE}.json"
    text = fresh.read_text()
    fresh.unlink()
    commit(kept.parent)
    fresh.write_text(text.replace('"set_by"', '"given_by"'))
    assert breakages(kept, root=kept.parent) == []
    assert list(stale_schemas(kept)) == [GoalSet.TYPE]


def test_the_remedy_names_the_next_version_that_is_free() -> None:
    class GoalSetTwo(GoalSet):
        TYPE = "updraft.goal.set.v2"

    assert "add updraft.goal.set.v2 beside" in remedy(GoalSet.TYPE)
    assert "add updraft.goal.set.v3 beside" in remedy(GoalSet.TYPE, (*EVENT_TYPES, GoalSetTwo))
    assert "add updraft.goal.reached.v2 beside" in remedy(GoalReached.TYPE)
