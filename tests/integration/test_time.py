"""Clocks that jump, processes that are stopped, windows that outlive their leader."""

import calendar
import subprocess
import time

import noctua
import pytest
from conftest import running_group, serve

DEAD = "us-east-1"
NEW = "us-west-2"


def faketime_library():
    done = subprocess.run(["faketime", "-f", "+0s", "printenv", "LD_PRELOAD"], capture_output=True,
                          text=True, check=False)
    return done.stdout.strip().replace("faketime.so", "faketimeMT.so")


def set_clock(node, offset):
    """Jumps the node's wall clock while it runs; its stopwatch (CLOCK_BOOTTIME) goes on."""
    path = node.directory / "clock"
    path.with_suffix(".new").write_text(f"{offset}\n")
    path.with_suffix(".new").rename(path)
    node.clock_is_true = False


@pytest.fixture
def clocked(tmp_path, world):
    library = faketime_library()
    assert library, "faketime isn't installed"

    def prepare(group):
        group.issue_again("faketime", "-f", "-3d")  # valid also for a clock that goes back
        for node in group.nodes.values():
            set_clock(node, "+0")
            node.environment.update(
                LD_PRELOAD=library,
                FAKETIME_TIMESTAMP_FILE=str(node.directory / "clock"),
                FAKETIME_NO_CACHE="1",
                FAKETIME_DONT_FAKE_MONOTONIC="1",
            )

    with running_group(tmp_path / "group", world, prepare) as group:
        yield serve(group)


def wall_ms(at):
    seconds, fraction = at.rstrip("Z").split(".")
    return calendar.timegm(time.strptime(seconds, "%Y-%m-%dT%H:%M:%S")) * 1000 + int(fraction)


def wait_for_jump(node):
    noctua.wait_until(
        lambda: abs(wall_ms(node.status()["wall_at"]) - time.time() * 1000) > 3600e3, 10,
        f"the clock of {node.name} has jumped",
    )


@pytest.mark.parametrize("offset", ["+1d", "-1d"])
def test_a_followers_clock_jumps(clocked, world, offset):
    """One clock of three moves no committed time: a veto ends when its time is over, not before,
    and it does end."""
    group = clocked
    jumping = group.followers()[0]
    group.ctl("veto", "nocturnal", "--for", "5s", "--reason", "clock test")
    veto = group.detail()["overrides"][0]
    set_clock(jumping, offset)
    wait_for_jump(jumping)
    world.region(DEAD, "refuse")
    group.wait_for_active(NEW, 40)
    assert time.time() * 1000 >= wall_ms(veto["until_at"]) - 50
    assert group.wait_for_end()["result"] == "done"


@pytest.mark.parametrize("offset", ["+1d", "-1d"])
def test_the_leaders_clock_jumps(clocked, world, offset):
    """A leader whose clock is far from the others' decides nothing by itself, and says so."""
    group = clocked
    leader = group.wait_for_leader()
    if offset == "+1d":
        group.ctl("veto", "nocturnal", "--for", "2s", "--reason", "clock test")
    set_clock(leader, offset)
    wait_for_jump(leader)
    world.region(DEAD, "refuse")
    noctua.wait_until(
        lambda: group.ask("explain", "nocturnal")["failing"] == ["clock"], 20,
        "only the clock is left; a veto has ended by the others' clocks",
    )
    assert group.leader() is leader
    assert group.service()["epoch"] == 1
    set_clock(leader, "+0")
    group.wait_for_active(NEW)
    assert group.wait_for_end()["result"] == "done"


# --- stopped processes


def confirming(group, world, region=DEAD):
    world.region(region, "refuse")
    noctua.wait_until(lambda: group.service()["state"] == "confirming", 20, "the window runs")


@pytest.mark.sanitizers
def test_stopped_observers_dont_pass_off_old_results(bare_group, world):
    """Both observers are stopped in the window, the region comes back, they go on: what they saw
    before is no evidence any more."""
    group = serve(bare_group, confirm="1s")
    confirming(group, world)
    observers = [group.nodes["n2"], group.nodes["n3"]]
    for node in observers:
        node.stop()
    world.region(DEAD, "up")
    # Longer than the window: by the clock alone it would be over.
    end = time.monotonic() + 2
    noctua.wait_until(lambda: time.monotonic() > end, 5, "the window's time is over")
    for node in observers:
        node.resume()
    group.wait_for_leader()
    group.wait_for_health()
    noctua.wait_until(lambda: group.service()["state"] == "ok", 20, "the suspicion is over")
    assert group.service()["epoch"] == 1
    assert len(world.effects()) == 1


def test_everybody_is_stopped_in_the_window(bare_group, world):
    """The same for the whole group, leader and all, as when one machine is suspended."""
    group = serve(bare_group, confirm="1s")
    confirming(group, world)
    for node in group.nodes.values():
        node.stop()
    world.region(DEAD, "up")
    end = time.monotonic() + 2
    noctua.wait_until(lambda: time.monotonic() > end, 5, "the window's time is over")
    for node in group.nodes.values():
        node.resume()
    group.wait_for_leader()
    group.wait_for_health()
    assert group.service()["epoch"] == 1


def test_follower_stopped_in_the_window_delays_the_move(bare_group, world):
    """Without its vote there are too few; with it again, the move happens."""
    group = serve(bare_group, confirm="1s")
    group.wait_to_lead(group.nodes["n2"])
    group.wait_for_health()
    confirming(group, world)
    group.nodes["n3"].stop()
    noctua.wait_until(
        lambda: "verdict" in group.ask("explain", "nocturnal")["failing"], 20, "a vote is missing"
    )
    assert group.service()["epoch"] == 1
    group.nodes["n3"].resume()
    group.wait_for_active(NEW)
    assert group.wait_for_end()["result"] == "done"


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_window_survives_an_election(bare_group, world, how):
    """The leader falls silent while the window runs; the next one goes on with the same window."""
    group = serve(bare_group, confirm="3s")
    leader = group.wait_to_lead(group.nodes["n1"])
    group.wait_for_health()
    confirming(group, world)
    getattr(leader, how)()
    group.wait_for_active(NEW, 40)
    assert group.wait_for_end()["result"] == "done"
    assert len(group.events("suspect")) == 1
    assert not group.events("unsuspect")
    if how == "stop":
        leader.resume()


def test_flapping(bare_group, world):
    """The region dies and comes back within the window again and again: it is never moved, and
    then automation holds a service back that flaps."""
    group = serve(bare_group, confirm="1s")
    for n in range(5):
        confirming(group, world)
        world.region(DEAD, "up")
        noctua.wait_until(lambda: group.service()["state"] == "ok", 15, "well again")
        assert len(group.events("unsuspect")) == n + 1
    assert group.service()["epoch"] == 1
    world.region(DEAD, "refuse")
    noctua.wait_until(
        lambda: group.ask("explain", "nocturnal")["failing"] == ["flapping"], 20, "flapping"
    )
    assert group.service()["epoch"] == 1
    # A person may still move it.
    group.ctl("failover", "nocturnal", "--to", NEW, "--yes", "--wait", "30")
    assert world.dig() == [noctua.ADDRESSES[NEW]]
