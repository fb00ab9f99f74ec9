"""Hot reload of a running process, in every way a file comes to be another one."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from tests.server.policies import allowing
from tests.server.process import Running, call, gateway, serving, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

BAD = "policy: {guards: [{type: access_lost}]}\n"


def loaded(running: Running) -> float:
    return running.metric('guardsvc_policy_reloads_total{result="loaded"}')


def failed(running: Running) -> float:
    return running.metric('guardsvc_policy_reloads_total{result="failed"}')


def verdicts(running: Running) -> tuple[str, str]:
    """What is decided of the tools ``old`` and ``new``."""
    with gateway(running.grpc_address) as asking:
        return asking.verdict(call("old")), asking.verdict(call("new"))


def edit(path: Path, text: str) -> None:
    path.write_text(text)


def replace(path: Path, text: str) -> None:
    draft = path.with_name("draft")
    draft.write_text(text)
    draft.rename(path)


def remove_and_write(path: Path, text: str) -> None:
    path.unlink()
    path.write_text(text)


@pytest.mark.parametrize("change", [edit, replace, remove_and_write])
def test_a_changed_file_comes_into_force(tmp_path: Path, change: Callable[[Path, str], None]) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(allowing("old"))
    with serving(tmp_path, "--config", str(config)) as running:
        assert verdicts(running) == ("allow", "access_denied")
        before = running.metric("guardsvc_policy_loaded_timestamp_seconds")
        change(config, allowing("new"))
        log = running.wait_for_log("policy_loaded")

        assert verdicts(running) == ("access_denied", "allow")
        assert log["policy"] != log["before"]
        assert log["policy"] in running.get("/version")[1]
        assert loaded(running) == 1
        assert running.metric("guardsvc_policy_loaded_timestamp_seconds") > before
        assert running.end() == 0


def test_a_mounted_config_map_is_swapped(tmp_path: Path) -> None:
    mount = tmp_path / "mount"
    for folder, tool in (("..ts1", "old"), ("..ts2", "new")):
        (mount / folder).mkdir(parents=True)
        (mount / folder / "config.yaml").write_text(allowing(tool))
    (mount / "..data").symlink_to("..ts1")
    (mount / "config.yaml").symlink_to("..data/config.yaml")
    with serving(tmp_path, "--config", str(mount / "config.yaml")) as running:
        assert verdicts(running) == ("allow", "access_denied")
        (mount / "..data_tmp").symlink_to("..ts2")
        (mount / "..data_tmp").rename(mount / "..data")
        running.wait_for_log("policy_loaded")

        assert verdicts(running) == ("access_denied", "allow")


def test_a_link_to_a_file_elsewhere_is_followed(tmp_path: Path) -> None:
    real, config = tmp_path / "elsewhere" / "real.yaml", tmp_path / "config.yaml"
    real.parent.mkdir()
    real.write_text(allowing("old"))
    config.symlink_to(real)
    with serving(tmp_path, "--config", str(config)) as running:
        real.write_text(allowing("new"))
        running.wait_for_log("policy_loaded")

        assert verdicts(running) == ("access_denied", "allow")


def test_sighup_reloads(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(allowing("old"))
    with serving(tmp_path, "--config", str(config)) as running:
        running.signal(signal.SIGHUP)
        running.wait_for_metric('guardsvc_policy_reloads_total{result="unchanged"}', 1)
        assert loaded(running) == 0

        config.write_text(allowing("new"))
        running.signal(signal.SIGHUP)
        running.wait_for_log("policy_loaded")
        assert verdicts(running) == ("access_denied", "allow")
        assert running.end() == 0


def test_sighup_without_a_file_changes_nothing(tmp_path: Path) -> None:
    with serving(tmp_path) as running:
        running.signal(signal.SIGHUP)
        running.wait_for_metric('guardsvc_policy_reloads_total{result="unchanged"}', 1)
        assert running.end() == 0


def test_a_bad_file_keeps_the_last_good_policy(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(allowing("old"))
    with serving(tmp_path, "--config", str(config)) as running:
        config.write_text(BAD)
        log = running.wait_for_log("reload_failed")

        assert verdicts(running) == ("allow", "access_denied")
        assert running.metric("guardsvc_policy_stale") == 1
        assert failed(running) == 1
        assert running.get("/readyz")[0] == 200
        assert log["level"] == "error"
        assert log["source"] == str(config)
        assert log["kept"] in running.get("/readyz")[1]
        assert "policy.guards[0].type" in log["problems"][0]
        assert "(line 1)" in log["problems"][0]

        config.write_text(allowing("new"))
        running.wait_for_log("policy_loaded")
        assert verdicts(running) == ("access_denied", "allow")
        assert running.metric("guardsvc_policy_stale") == 0

        for count, text in enumerate(("", "not: [yaml", "\x00", "- a\n- b\n", "service: {}\n"), start=2):
            config.write_text(text)
            running.wait_for_log("reload_failed", count)
        assert verdicts(running) == ("access_denied", "allow")
        assert failed(running) == 6
        assert running.end() == 0


def test_repairing_to_what_is_in_force_is_no_longer_stale(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(allowing("old"))
    with serving(tmp_path, "--config", str(config)) as running:
        config.write_text(BAD)
        running.wait_for_metric("guardsvc_policy_stale", 1)
        config.write_text(allowing("old"))
        running.wait_for_metric("guardsvc_policy_stale", 0)

        assert loaded(running) == 0
        assert running.metric('guardsvc_policy_reloads_total{result="unchanged"}') == 1


def test_a_deleted_file_keeps_the_policy_until_it_is_back(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(allowing("old"))
    with serving(tmp_path, "--config", str(config)) as running:
        config.unlink()
        assert "cannot be read" in running.wait_for_log("reload_failed")["problems"][0]
        assert running.metric("guardsvc_policy_stale") == 1
        assert verdicts(running) == ("allow", "access_denied")

        running.signal(signal.SIGHUP)
        running.wait_for_log("reload_failed", 2)
        assert verdicts(running) == ("allow", "access_denied")

        config.write_text(allowing("new"))
        running.wait_for_log("policy_loaded")
        assert verdicts(running) == ("access_denied", "allow")
        assert running.metric("guardsvc_policy_stale") == 0


def test_a_folder_in_the_place_of_the_file_keeps_the_policy(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(allowing("old"))
    with serving(tmp_path, "--config", str(config)) as running:
        config.unlink()
        config.mkdir()
        running.wait_for_metric("guardsvc_policy_stale", 1)
        assert verdicts(running) == ("allow", "access_denied")

        config.rmdir()
        config.write_text(allowing("old"))
        running.wait_for_metric("guardsvc_policy_stale", 0)
        assert running.end() == 0


def test_a_folder_that_goes_and_comes_is_watched_again(tmp_path: Path) -> None:
    config = tmp_path / "folder" / "config.yaml"
    config.parent.mkdir()
    config.write_text(allowing("old"))
    with serving(tmp_path, "--config", str(config)) as running:
        config.unlink()
        config.parent.rmdir()
        running.wait_for_log("reload_failed")
        config.parent.mkdir()
        config.write_text(allowing("new"))
        running.wait_for_log("policy_loaded")

        assert verdicts(running) == ("access_denied", "allow")
        assert running.end() == 0


def test_the_log_level_follows_the_file(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(allowing("old"))
    with serving(tmp_path, "--config", str(config)) as running:
        config.write_text(allowing("new", log={"level": "error"}))
        wait_until(lambda: loaded(running) == 1, "reload")
        assert verdicts(running) == ("access_denied", "allow")
        assert running.logs("decision") == []
        assert running.logs("restart_needed") == []

        config.write_text(allowing("old", log={"level": "info"}))
        wait_until(lambda: loaded(running) == 2, "reload")
        assert verdicts(running) == ("allow", "access_denied")
        assert len(running.logs("decision")) == 1


def test_sigusr1_switches_debug_logs_on_and_off(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(allowing("old", log={"level": "info"}))
    with serving(tmp_path, "--config", str(config)) as running:
        running.signal(signal.SIGUSR1)
        running.wait_for_log("log_level")
        running.signal(signal.SIGUSR1)
        running.wait_for_log("log_level", 2)
        assert [log["shown"] for log in running.logs("log_level")] == ["debug", "info"]

        running.signal(signal.SIGUSR1)
        running.wait_for_log("log_level", 3)
        config.write_text(allowing("new", log={"level": "info"}))
        running.wait_for_log("policy_loaded")
        running.signal(signal.SIGUSR1)
        assert running.wait_for_log("log_level", 4)["shown"] == "info"


def test_other_service_settings_need_a_restart(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(allowing("old"))
    with serving(tmp_path, "--config", str(config)) as running:
        for count, tool in enumerate(("new", "newer"), start=1):
            config.write_text(allowing(tool, shutdown_grace_s=1))
            log = running.wait_for_log("restart_needed", count)
            assert log["level"] == "warning"
        assert running.get("/readyz")[0] == 200

        config.write_text(allowing("old", log={"format": "console"}))
        running.wait_for_log("restart_needed", 3)
        config.write_text(allowing("new", log={"level": "debug"}))
        running.wait_for_log("policy_loaded", 4)
        assert len(running.logs("restart_needed")) == 3


def test_no_decision_is_wrong_during_rapid_reloads(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(allowing("both", "old"))
    with serving(tmp_path, "--quiet", "--config", str(config)) as running, gateway(running.grpc_address) as asking:
        for number in range(50):
            replace(config, allowing("both", "new" if number % 2 else "old"))
            running.signal(signal.SIGHUP)
            assert asking.verdict(call("both")) == "allow"
            assert asking.verdict(call("neither")) == "access_denied"
            assert {asking.verdict(call("old")), asking.verdict(call("new"))} <= {"allow", "access_denied"}
        running.wait_for_log("policy_loaded")
        wait_until(lambda: verdicts(running) == ("access_denied", "allow"), "the last one in force")

        assert failed(running) == 0
        assert running.metric("guardsvc_policy_stale") == 0
        assert running.metric('guardsvc_gateway_faults_total{service="envoy.service.auth.v3.Authorization"}') == 0
        assert running.end() == 0
