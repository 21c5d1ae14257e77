import asyncio
import json
import os
import shutil
import signal
import smtplib
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from pathlib import Path

import asyncpg
import httpx
import psutil
import pytest

from deploy.local.broker import create_topics
from deploy.local.postgres import SERVICES
from deploy.local.process import StackError
from deploy.local.stack import Stack
from shared.auth import TokenVerifier
from shared.database import BACKBONE_MIGRATIONS, migrate
from shared.settings import AuthSettings

HERE = Path(__file__).parent
DUMMY = (sys.executable, str(HERE / "dummy_service.py"))
DUMMIES = dict.fromkeys(SERVICES, DUMMY)


@pytest.fixture
def folder():
    # Not pytest's own: for root that is closed to the user that Postgres runs as.
    made = Path(tempfile.mkdtemp(prefix="updraft-"))
    made.chmod(0o711)
    yield made
    shutil.rmtree(made)


async def eventually(condition, *, within_seconds=10.0):
    deadline = time.monotonic() + within_seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not come true in time"
        await asyncio.sleep(0.05)
    return found


def gone(processes):
    return not [p for p in processes if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]


def descendants():
    return psutil.Process().children(recursive=True)


async def test_a_stack_starts_serves_and_leaves_no_process(folder):
    before = set(descendants())
    async with Stack(folder, services=DUMMIES) as stack:
        started = set(descendants()) - before
        async with httpx.AsyncClient() as client:
            told = (await client.get(stack.url("matching"))).json()
        connection = await asyncpg.connect(stack.dsn("matching"))
        assert await connection.fetchval("SELECT current_schema()") == "matching"
        await connection.close()
        assert await create_topics(stack.bootstrap_servers) == 0
        assert 5_000_000 < stack.rss("matching") < 150_000_000
        assert stack.restarts == dict.fromkeys(SERVICES, 0)

    assert len(started) >= 9
    assert gone(started)
    assert told["UPDRAFT_KAFKA__BOOTSTRAP_SERVERS"] == stack.bootstrap_servers
    assert told["UPDRAFT_KAFKA__IDEMPOTENT_PRODUCER"] == "false"
    assert told["UPDRAFT_LINKS__BASE_URL"] == stack.url("registration")
    assert not [name for name in told if name.endswith(("DSN", "SECRET"))]
    secrets = Path(told["UPDRAFT_SECRETS_DIR"])
    assert (secrets / "UPDRAFT_POSTGRES__DSN").read_text() == stack.dsn("matching")
    assert not (folder / "postgres" / "data").exists()


async def test_two_stacks_run_side_by_side(folder):
    async with (
        Stack(folder / "one", services=DUMMIES) as one,
        Stack(folder / "two", services=DUMMIES) as two,
    ):
        assert not set(one.endpoints.ports.values()) & set(two.endpoints.ports.values())
        with pytest.raises(StackError, match="already running"):
            await Stack(folder / "one", services=DUMMIES).__aenter__()
        # The failed start has not harmed the stack that was there.
        connection = await asyncpg.connect(one.auditor_dsn)
        await connection.close()


async def test_a_killed_service_is_told_with_its_last_lines_and_started_again(folder):
    told = []
    async with Stack(folder, services=DUMMIES, tell=told.append) as stack:
        first = stack.pid("metrics")
        os.kill(first, signal.SIGKILL)
        await eventually(lambda: stack.restarts["metrics"] == 1 and stack.pid("metrics") != first)

        (report,) = [line for line in told if "metrics was killed by signal 9" in line]
        assert "the dummy has started" in report
        assert "metrics.log" in report
        async with httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(retries=5)) as client:
            assert (await client.get(stack.url("metrics"))).status_code == 200


async def test_a_service_that_cannot_start_ends_the_start_with_its_last_lines(folder):
    broken = {"matching": (sys.executable, "-c", "print('no such thing'); raise SystemExit(3)")}
    before = set(descendants())

    with pytest.raises(StackError, match=r"(?s)matching died.*exit code 3.*no such thing"):
        async with Stack(folder, services=broken):
            pass

    assert gone(set(descendants()) - before)


async def test_a_broker_that_dies_comes_back_on_its_port_with_all_topics(folder):
    told = []
    async with Stack(folder, services=DUMMIES, tell=told.append) as stack:
        old = {name: stack.pid(name) for name in (*SERVICES, "broker")}
        os.kill(old["broker"], signal.SIGKILL)
        await eventually(lambda: all(stack.pid(name) != pid for name, pid in old.items()))

        assert await create_topics(stack.bootstrap_servers) == 0
        assert any("broker was killed" in line for line in told)
        assert stack.restarts == dict.fromkeys(SERVICES, 0)


async def test_a_kept_stack_comes_back_with_its_data_and_publishes_again(folder):
    first = Stack(folder, keep=True, services=DUMMIES)
    async with first:
        connection = await asyncpg.connect(first.dsn("matching"))
        await migrate(connection, [BACKBONE_MIGRATIONS])
        await connection.execute(
            """
            INSERT INTO journal (seq, id, aggregatetype, aggregateid, headers, payload) VALUES
                (1, gen_random_uuid(), 'updraft.pairs', 'p', '{}', 'first'),
                (2, gen_random_uuid(), 'updraft.pairs', 'p', '{}', 'second'),
                (3, gen_random_uuid(), 'updraft.employees', 'e', '{}', 'superseded'),
                (4, gen_random_uuid(), 'updraft.employees', 'e', '{}', 'newest')
            """
        )
        await connection.execute(
            """
            INSERT INTO outbox (seq, id, aggregatetype, aggregateid, headers, payload)
            VALUES (5, gen_random_uuid(), 'updraft.pairs', 'p', '{}', 'never sent')
            """
        )
        await connection.close()

    told = []
    async with Stack(folder, keep=True, services=DUMMIES, tell=told.append) as second:
        assert second.endpoints.ports == first.endpoints.ports
        connection = await asyncpg.connect(second.dsn("matching"))
        rows = await connection.fetch("SELECT payload FROM outbox ORDER BY seq")
        left = await connection.fetchval("SELECT count(*) FROM journal")
        await connection.close()

    assert [row["payload"] for row in rows] == [b"first", b"second", b"newest", b"never sent"]
    assert left == 0
    assert any("3 events are published once more" in line for line in told)


async def test_programme_time_goes_on_where_it_stopped_and_never_back(folder):
    start = datetime(2026, 1, 5, 9, tzinfo=UTC)
    only = {"metrics": DUMMY}
    async with Stack(folder, keep=True, services=only, start=start, speed=10_000) as first:
        assert first.clock.now() < start + timedelta(days=1)
        await asyncio.sleep(0.2)
        stopped_after = first.clock.now()

    with pytest.raises(StackError, match="time cannot go back"):
        async with Stack(folder, keep=True, services=only, start=start):
            pass
    async with Stack(folder, keep=True, services=only) as second:
        assert stopped_after <= second.clock.now() < stopped_after + timedelta(days=1)


async def test_servers_of_ones_own_are_used_instead(folder):
    async with Stack(folder / "theirs", services=DUMMIES) as theirs:
        environment = {
            "UPDRAFT_KAFKA__BOOTSTRAP_SERVERS": theirs.bootstrap_servers,
            **{f"UPDRAFT_{name.upper()}__DSN": theirs.dsn(name) for name in SERVICES},
        }
        async with Stack(folder / "ours", services=DUMMIES, environment=environment) as ours:
            assert ours.bootstrap_servers == theirs.bootstrap_servers
            assert ours.dsn("metrics") == theirs.dsn("metrics")
            for part in ("postgres", "broker"):
                with pytest.raises(StackError, match="not running"):
                    ours.pid(part)
            with pytest.raises(StackError, match="not ours"):
                _ = ours.superuser_dsn
            async with httpx.AsyncClient() as client:
                told = (await client.get(ours.url("matching"))).json()
            assert "UPDRAFT_MATCHING__DSN" not in told
            assert "UPDRAFT_OUTBOX__JOURNAL" not in told


async def test_tokens_of_the_issuer_are_accepted_by_the_services_verifier(folder):
    async with Stack(folder, services={"metrics": DUMMY}) as stack:
        verifier = TokenVerifier(
            AuthSettings(issuer=stack.issuer_url, jwks_url=f"{stack.issuer_url}/jwks.json")
        )
        async with httpx.AsyncClient() as client:
            asked = {"sub": "ada", "roles": ["auditor"], "employee_id": "E1"}
            answer = await client.post(f"{stack.issuer_url}/token", json=asked)
            foreign = await client.get(stack.issuer_url, headers={"Host": "evil.example:9000"})

        minted = await verifier.verify(answer.json()["access_token"])
        helped = await verifier.verify(stack.token("ada", ["auditor"], "E1"))

    assert minted == helped
    assert (minted.subject, minted.roles, minted.employee_id) == ("ada", {"auditor"}, "E1")
    assert foreign.status_code == 421


async def test_mails_are_kept_and_shown(folder):
    async with Stack(folder, services={"metrics": DUMMY}) as stack:
        message = EmailMessage()
        message["To"], message["From"] = "ada@example.org", "updraft@example.org"
        message["Subject"], message["X-Updraft-Kind"] = "Welcome", "welcome"
        message.set_content("Hello Ada")

        def send():
            with smtplib.SMTP("127.0.0.1", stack.endpoints.ports["smtp"]) as smtp:
                smtp.send_message(message)

        await asyncio.to_thread(send)
        async with httpx.AsyncClient() as client:
            listed = (await client.get(f"{stack.mail_url}/mails.json?to=ada")).json()
            shown = await client.get(f"{stack.mail_url}/mails/1")
        kept = (stack.mails_dir / "000001-welcome.eml").read_text()

    assert [(mail["kind"], mail["subject"]) for mail in listed] == [("welcome", "Welcome")]
    assert "Hello Ada" in shown.text
    assert "Hello Ada" in kept


async def cli(*arguments):
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "deploy.cli", *map(str, arguments)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "COLUMNS": "200"},
    )
    out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


async def test_the_command_line_works_on_a_running_stack(folder):
    record = {
        "employeeId": "E1",
        "effectiveDate": "2026-01-01",
        "sequence": 1,
        "status": "active",
        "jobLevel": 3,
        "department": "Sales",
        "startDate": "2020-01-01",
        "managerId": None,
    }
    good, bad = folder / "good.jsonl", folder / "bad.jsonl"
    good.write_text("\n".join(json.dumps({**record, "sequence": n}) for n in range(3)))
    bad.write_text(json.dumps({**record, "jobLevel": -1}))
    data = ("--data", folder / "run")
    async with Stack(folder / "run", services={"metrics": DUMMY}):
        minted = await cli("token", "--sub", "ada", "--role", "auditor", *data)
        refused = await cli("hr", "publish", bad, *data)
        published = await cli("hr", "publish", good, *data)
        forced = await cli("hr", "publish", bad, "--raw", *data)
        counted = await cli("topics", "--counts", *data)
        read = await cli("read", "hr.employees", "--limit", "3", *data)
        unknown = await cli("read", "no.such.topic", *data)
        absent = await cli("hr", "publish", folder / "absent.jsonl", *data)
    stopped = await cli("token", "--sub", "ada", *data)

    assert minted[0] == 0
    assert minted[1].count(".") == 2
    assert refused[0] == absent[0] == 1
    assert "jobLevel" in refused[2]
    assert "absent.jsonl: no such file" in absent[2]
    assert published[0] == forced[0] == 0
    (row,) = [line for line in counted[1].splitlines() if "hr.employees" in line]
    assert row.split()[-1] == "4"
    records = [json.loads(line) for line in read[1].splitlines()]
    assert [r["data"]["sequence"] for r in records] == [0, 1, 2]
    assert {r["key"] for r in records} == {"E1"}
    assert {r["type"] for r in records} == {"updraft.hr.employee-recorded.v1"}
    assert unknown[0] == 1
    assert "there is no topic" in unknown[2]
    assert stopped[0] == 1
    assert "no stack is running" in stopped[2]


class Driver:
    """A stack in a process of its own, and every process that it ever had."""

    def __init__(self, folder, *extra):
        self.process = psutil.Popen(
            [sys.executable, str(HERE / "drive_stack.py"), str(folder), *extra],
            stdout=subprocess.PIPE,
            cwd=HERE.parents[2],
        )
        self.seen = set()

    async def watch(self, seconds):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self.process.is_running():
            self._look()
            await asyncio.sleep(0.01)

    async def up(self):
        reading = asyncio.to_thread(self.process.stdout.readline)
        assert await asyncio.wait_for(reading, 30) == b"up\n"
        self._look()

    def _look(self):
        try:
            self.seen |= set(self.process.children(recursive=True))
        except psutil.Error:
            return

    async def ended(self, *, within_seconds):
        return await eventually(
            lambda: self.process.poll() is not None, within_seconds=within_seconds
        )

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stdout.close()


@pytest.fixture
def drive(folder):
    drivers = []

    def start(*extra):
        drivers.append(Driver(folder / "run", *extra))
        return drivers[-1]

    yield start
    for driver in drivers:
        driver.kill()


@pytest.mark.parametrize("delay_seconds", [0.2, 0.5, 0.8, 1.2, 1.8])
async def test_sigterm_at_any_moment_of_the_start_leaves_no_process(drive, delay_seconds):
    driver = drive()
    await driver.watch(delay_seconds)

    driver.process.send_signal(signal.SIGTERM)

    await driver.ended(within_seconds=8)
    await eventually(lambda: gone(driver.seen), within_seconds=2)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_stops_a_running_stack_within_seconds(drive, number):
    driver = drive("keep")
    await driver.up()

    driver.process.send_signal(number)

    await driver.ended(within_seconds=8)
    assert driver.process.returncode == 128 + number
    assert len(driver.seen) >= 9
    await eventually(lambda: gone(driver.seen), within_seconds=2)


async def test_a_second_ctrl_c_is_obeyed_too(drive):
    driver = drive("keep")
    await driver.up()

    driver.process.send_signal(signal.SIGINT)
    await asyncio.sleep(0.05)
    driver.process.send_signal(signal.SIGINT)

    await driver.ended(within_seconds=4)
    await eventually(lambda: gone(driver.seen), within_seconds=2)


async def test_killing_the_parent_leaves_no_process_and_the_data_is_good(drive, folder):
    driver = drive("keep")
    await driver.up()

    driver.process.kill()

    await eventually(lambda: gone(driver.seen), within_seconds=8)
    async with Stack(folder / "run", keep=True, services=DUMMIES) as again:
        connection = await asyncpg.connect(again.auditor_dsn)
        await connection.close()


async def test_killing_the_parent_in_mid_start_leaves_no_process(drive):
    driver = drive()
    await driver.watch(0.9)

    driver.process.kill()

    await eventually(lambda: gone(driver.seen), within_seconds=8)
