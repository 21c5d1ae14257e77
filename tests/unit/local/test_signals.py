import asyncio
import os
import signal

import pytest

from deploy.local.signals import Interrupted, run, uninterrupted


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_cancels_the_work_and_lets_it_clean_up(number):
    cleaned = []

    async def work():
        try:
            os.kill(os.getpid(), number)
            await asyncio.sleep(10)
        finally:
            await asyncio.sleep(0)
            cleaned.append(True)

    with pytest.raises(Interrupted) as stopped:
        run(work())

    assert cleaned == [True]
    assert stopped.value.exit_code == 128 + number


def test_a_second_signal_only_makes_the_clean_up_hurry():
    told = []

    async def work():
        hurry = asyncio.Event()

        async def clean_up():
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.wait_for(hurry.wait(), 5)
            told.append("hurried")

        try:
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.sleep(10)
        finally:
            await uninterrupted(clean_up(), hurry)

    with pytest.raises(Interrupted):
        run(work())

    assert told == ["hurried"]


def test_work_without_a_signal_returns_its_result():
    async def work():
        return 7

    assert run(work()) == 7


async def test_an_error_in_the_clean_up_is_raised():
    async def clean_up():
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        await uninterrupted(clean_up(), asyncio.Event())
