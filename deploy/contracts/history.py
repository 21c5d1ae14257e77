"""What git remembers of the contracts: every schema that a commit ever published.

The kept files alone would forget: whoever changes an event may also change or delete its schema.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Published:
    """One version of an event's schema that some commit holds."""

    event_type: str
    schema: dict[str, Any]


def published(root: Path, folder: Path) -> list[Published] | None:
    """Every version of every schema in `folder` in the history of HEAD.

    None where that folder is in no git checkout of the tree, or nothing is committed yet.
    """
    root, folder = root.resolve(), folder.resolve()
    if not folder.is_relative_to(root) or _git(root, "rev-parse", "--show-toplevel") != str(root):
        return None
    place = folder.relative_to(root).as_posix()
    listed = _git(root, "rev-list", "--objects", "HEAD", "--", place)
    if listed is None:
        return None
    # "<id> <path>" for files and folders, "<id>" for commits.
    named = [line.split(" ", 1) for line in listed.splitlines() if " " in line]
    files = [(name, Path(path)) for name, path in named if path.endswith(".json")]
    kept = [(name, path) for name, path in files if path.parent.as_posix() == place]
    texts = _contents(root, [name for name, _ in kept])
    return [
        Published(path.stem, json.loads(text)) for (_, path), text in zip(kept, texts, strict=True)
    ]


def _git(root: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments], capture_output=True, check=True, text=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


def _contents(root: Path, names: Sequence[str]) -> Iterator[bytes]:
    done = subprocess.run(
        ["git", "-C", str(root), "cat-file", "--batch"],
        input="".join(f"{name}\n" for name in names).encode(),
        capture_output=True,
        check=True,
    )
    rest = done.stdout
    while rest:
        # "<id> blob <size>", that many bytes, and a line end.
        head, _, rest = rest.partition(b"\n")
        size = int(head.split()[2])
        yield rest[:size]
        rest = rest[size + 1 :]
