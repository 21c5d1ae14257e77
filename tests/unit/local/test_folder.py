import os
import socket
import stat

import pytest

from deploy.local.endpoints import Endpoints, external_dsns
from deploy.local.folder import RunFolder
from deploy.local.postgres import SERVICES
from deploy.local.process import StackError, free_port, last_lines


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_secrets_are_kept_between_runs_and_readable_by_their_owner_alone(tmp_path):
    folder = RunFolder(tmp_path / "run")
    secrets = folder.secrets()

    assert RunFolder(tmp_path / "run").secrets() == secrets
    assert len(set(secrets.values())) == len(secrets) >= 7
    assert mode(folder.path / "secrets.json") == 0o600
    assert mode(folder.mails) == mode(folder.logs) == 0o700


def test_a_service_gets_its_secrets_in_files_of_its_own(tmp_path):
    folder = RunFolder(tmp_path / "run")

    handed = folder.hand_over("matching", {"UPDRAFT_LINKS__SECRET": "s"})

    assert (handed / "UPDRAFT_LINKS__SECRET").read_text() == "s"
    assert mode(handed) == 0o700
    assert mode(handed / "UPDRAFT_LINKS__SECRET") == 0o600


def test_two_stacks_cannot_share_a_folder(tmp_path):
    first, second = RunFolder(tmp_path), RunFolder(tmp_path)
    first.lock()

    with pytest.raises(StackError, match="already running"):
        second.lock()

    first.unlock()
    second.lock()
    second.unlock()


def test_a_damaged_state_is_told_with_its_file(tmp_path):
    (tmp_path / "stack.json").write_text("{")

    with pytest.raises(StackError, match=r"stack\.json is damaged"):
        RunFolder(tmp_path).state()


@pytest.mark.parametrize("state", [None, {"running": False}, {"running": True, "pid": 2**22 + 1}])
def test_no_endpoints_where_no_stack_is_running(tmp_path, state):
    if state is not None:
        RunFolder(tmp_path).write("stack.json", state)

    with pytest.raises(StackError, match="no stack is running"):
        Endpoints.of(tmp_path)


def test_real_databases_are_used_for_all_services_or_for_none():
    all_given = {f"UPDRAFT_{s.upper()}__DSN": f"postgresql://db/{s}" for s in SERVICES}

    assert external_dsns({}) == {}
    assert external_dsns(all_given)["matching"] == "postgresql://db/matching"
    with pytest.raises(StackError, match="UPDRAFT_METRICS__DSN"):
        external_dsns({k: v for k, v in all_given.items() if "METRICS" not in k})


def test_a_preferred_port_is_taken_if_it_is_free():
    port = free_port()

    assert free_port(port) == port


def test_a_port_stays_its_owners_between_two_lives():
    port = free_port()

    for _ in range(2):
        with socket.create_server(("127.0.0.1", port)):
            pass
        with socket.socket() as stranger, pytest.raises(OSError, match="in use"):
            stranger.bind(("127.0.0.1", port))


def test_the_last_lines_of_a_log_are_told(tmp_path):
    log = tmp_path / "x.log"
    log.write_text("\n".join(map(str, range(100))))

    assert last_lines(log, 3) == "97\n98\n99"
    assert last_lines(tmp_path / "none") == ""


def test_the_folder_can_be_passed_through_by_the_user_that_postgres_runs_as(tmp_path):
    expected = 0o711 if os.geteuid() == 0 else 0o700

    assert mode(RunFolder(tmp_path / "run").path) == expected
