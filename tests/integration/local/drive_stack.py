"""Runs a stack with dummy services until a signal comes, as `updraft up` and the demo do."""

import asyncio
import sys
from pathlib import Path

from deploy.local.postgres import SERVICES
from deploy.local.signals import Interrupted, run
from deploy.local.stack import Stack

DUMMY = (sys.executable, str(Path(__file__).with_name("dummy_service.py")))


async def keep_up(folder: Path, *, keep: bool) -> None:
    async with Stack(folder, keep=keep, services=dict.fromkeys(SERVICES, DUMMY)):
        sys.stdout.write("up\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


if __name__ == "__main__":
    try:
        run(keep_up(Path(sys.argv[1]), keep="keep" in sys.argv))
    except Interrupted as stopped:
        sys.exit(stopped.exit_code)
