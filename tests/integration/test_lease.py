"""The lease: writers who fence themselves poll it, and never two regions hold it at once."""

import contextlib
import json
import subprocess
import threading
import time

import noctua
import pytest
from conftest import running_world
from test_network import networked_group

HOME = "us-east-1"
OTHER = "us-west-2"
LEASE_S = 2


class Holders:
    """A writer in each serving region, which asks every node in turn, and counts what it was given
    from before it asked, as writers must. Keeps when each region may have written."""

    def __init__(self, group):
        self.group = group
        self.held = {HOME: [], OTHER: []}  # (answered, until)
        self.dead = {HOME: threading.Event(), OTHER: threading.Event()}
        self.threads = [
            threading.Thread(target=self._poll, args=(region, node), daemon=True)
            for region in self.held
            for node in group.nodes.values()
        ]
        for thread in self.threads:
            thread.start()

    def _poll(self, region, node):
        path = f"/services/nocturnal/regions/{region}/lease"
        while not self.dead[region].wait(0.03):
            asked = time.clock_gettime(time.CLOCK_BOOTTIME)
            with contextlib.suppress(OSError, noctua.http.client.HTTPException):
                status, body, _ = node.get(path, timeout=1)
                answered = time.clock_gettime(time.CLOCK_BOOTTIME)
                if status == 200:
                    until = asked + json.loads(body)["expires_in_ms"] / 1000
                    self.held[region].append((answered, until))

    def holds(self, region):
        now = time.clock_gettime(time.CLOCK_BOOTTIME)
        return any(until > now for _, until in self.held[region][-50:])

    def wait_for(self, region, seconds=30):
        noctua.wait_until(lambda: self.holds(region), seconds, f"{region} holds the lease")

    def check(self):
        """No instant at which both may have written."""
        for answered, until in self.held[HOME]:
            for other_answered, other_until in self.held[OTHER]:
                both = min(until, other_until) - max(answered, other_answered)
                assert both <= 0, (f"both held it for {both * 1000:.0f} ms", answered, until,
                                   other_answered, other_until)

    def end(self):
        for dead in self.dead.values():
            dead.set()
        for thread in self.threads:
            thread.join()
        self.check()


@contextlib.contextmanager
def writers(group, **settings):
    """A group that serves with a lease, and who polls it."""
    settings = {"lease": f"{LEASE_S}s", "confirm": "1s", **settings}
    lease = settings.pop("lease")
    group.apply_spec(extra=f"      lease: {lease}\n", **settings)
    group.adopt()
    group.wait_for_health()
    holders = Holders(group)
    try:
        holders.wait_for(HOME)
        yield holders
    finally:
        holders.end()


@pytest.fixture
def group(bare_group):
    return bare_group


def lease_step(execution):
    return next(s for s in execution["steps"] if s["name"] == "lease")


@pytest.mark.sanitizers
def test_a_switchover_outlasts_it(group):
    """Both regions live and poll all the while: the new one gets it when the old one's has ended."""
    with writers(group) as holders:
        assert not holders.holds(OTHER)
        shown = group.ask("plan", "nocturnal", "--to", OTHER)
        assert [s["name"] for s in shown["steps"]] == ["lease", "switch", "dns"]
        assert "lease" in shown["steps"][1]["needs"]
        group.ctl("switchover", "nocturnal", "--to", OTHER, "--yes", "--wait", "30")
        execution = group.wait_for_end()
        assert execution["result"] == "done"
        assert lease_step(execution)["took_ms"] > 500, "the old region asked up to the last"
        holders.wait_for(OTHER)
        assert not holders.holds(HOME)


def test_a_region_long_cut_off_costs_no_wait(group, world):
    """Its writers and its node die; what they had runs out while the suspicion is confirmed."""
    with writers(group, confirm=f"{2 * LEASE_S}s") as holders:
        group.wait_to_lead(group.nodes["n2"])
        holders.wait_for(HOME)
        world.region(HOME, "refuse")
        holders.dead[HOME].set()
        group.nodes["n1"].kill()
        holders.wait_for(OTHER)
        group.wait_for_active(OTHER)
        execution = group.wait_for_end()
        assert lease_step(execution)["took_ms"] < LEASE_S * 1000 / 2


def test_its_leader_dies_in_the_confirm_window(group, world):
    """The new one knows nothing of what was granted, and waits for the longest."""
    with writers(group) as holders:
        leader = group.wait_to_lead(group.nodes["n1"])  # the others' votes are needed
        holders.wait_for(HOME)
        world.region(HOME, "refuse")
        noctua.wait_until(lambda: group.service()["state"] == "confirming", 20, "suspected")
        leader.kill()
        holders.wait_for(OTHER)
        group.wait_for_active(OTHER)
        leader.start()
        group.wait_for_end()


@pytest.mark.sanitizers
def test_a_stopped_leader_grants_nothing_late(group, world):
    """Stopped, deposed and continued, it believes to lead for a moment: nobody writes by its word."""
    with writers(group) as holders:
        leader = group.wait_to_lead(group.nodes["n1"])  # the others' votes are needed
        holders.wait_for(HOME)
        world.region(HOME, "refuse")
        leader.stop()
        group.wait_for_leader(besides=[leader.name])
        group.wait_for_active(OTHER, 40)
        holders.wait_for(OTHER)
        leader.resume()
        group.wait_for_end()
        noctua.wait_until(lambda: group.nodes[leader.name].get("/readyz")[0] == 200, 20, "it is back")
        assert not holders.holds(HOME)


def test_a_shortened_lease_is_outlasted_by_its_old_length(group):
    with writers(group, lease="5s") as holders:
        group.apply_spec(extra="      lease: 1s\n")
        group.ctl("switchover", "nocturnal", "--to", OTHER, "--yes", "--wait", "30")
        execution = group.wait_for_end()
        assert lease_step(execution)["took_ms"] > 2000
        holders.wait_for(OTHER)


def test_a_cancel_gives_it_back(group):
    with writers(group, lease="6s") as holders:
        group.ctl("switchover", "nocturnal", "--to", OTHER, "--yes")
        waiting = lease_step(group.execution())
        assert waiting["phase"] == "intended"
        assert f"{HOME} may hold its lease for another" in waiting["trouble"]
        group.ctl("cancel", "nocturnal", "--reason", "not now")
        assert group.wait_for_end()["result"] == "cancelled"
        holders.wait_for(HOME)
        assert holders.held[OTHER] == []


def test_a_release_is_an_operators_word(group):
    """He says that nobody writes there; the wait is over at once. (So nobody polls here.)"""
    group.apply_spec(extra="      lease: 10m\n", confirm="1s")
    group.adopt()
    group.wait_for_health()
    group.ctl("switchover", "nocturnal", "--to", OTHER, "--yes")
    assert lease_step(group.execution())["phase"] == "intended"
    group.ctl("release", "nocturnal", "--step", "lease", "--reason", "all writers are shut down")
    assert group.wait_for_end()["result"] == "released"
    assert group.detail()["debts"] == []


def test_without_a_quorum_it_runs_out(tmp_path):
    """The other endpoints hold their answer; this one can't."""
    with running_world(tmp_path / "world") as world, \
            networked_group(tmp_path / "group", world) as group, writers(group) as holders:
        node = group.nodes["n1"]
        group.network.isolate("n1")
        path = f"/services/nocturnal/regions/{HOME}"
        noctua.wait_until(lambda: node.get(path + "/lease")[0] == 503, 20, "it runs out")
        assert node.get(path + "/active")[0] == 200
        group.network.heal()
        noctua.wait_until(lambda: node.get(path + "/lease")[0] == 200, 30, "it comes back")
        assert holders.held[OTHER] == []


def compiled(directory):
    program = directory / "lease_holder"
    source = noctua.ROOT / "deploy" / "examples" / "lease_holder.c"
    subprocess.run(["cc", "-Wall", "-Wextra", "-Werror", source, "-o", program, "-lcurl"],
                   check=True)
    return [program]


@pytest.mark.parametrize("language", ["python", "c"])
def test_the_documented_writers(group, tmp_path, language):
    """They write in the active region, and stop there before the other one begins."""
    group.apply_spec(extra=f"      lease: {LEASE_S}s\n", confirm="1s")
    group.adopt()
    group.wait_for_health()
    script = noctua.ROOT / "deploy" / "examples" / "lease_holder.py"
    command = compiled(tmp_path) if language == "c" else ["/usr/bin/python3", str(script)]
    node = group.nodes["n2"]
    writers = {
        region: noctua.Process(
            f"writer-{region}",
            [*command, f"http://{node.http}/services/nocturnal/regions/{region}/lease"],
            tmp_path / f"{region}.log",
        )
        for region in (HOME, OTHER)
    }

    def says(region, word):
        lines = writers[region].text().splitlines()
        return bool(lines) and lines[-1] == word

    try:
        for writer in writers.values():
            writer.start()
        noctua.wait_until(lambda: says(HOME, "write"), 20, "the active region writes")
        assert "write" not in writers[OTHER].text()
        group.ctl("switchover", "nocturnal", "--to", OTHER, "--yes", "--wait", "30")
        noctua.wait_until(lambda: says(OTHER, "write"), 20, "the new one writes")
        assert says(HOME, "fenced")
    finally:
        for writer in writers.values():
            writer.kill()
