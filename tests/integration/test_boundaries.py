"""kill -9 of the leader at every boundary of a move: nothing twice, nothing lost."""

import noctua
import pytest
from test_quorum import lead

DEAD = "us-east-1"
NEW = "us-west-2"

POINTS = [
    "before-switch",
    "before-intent",
    "before-attempt",
    "after-attempt",
    "before-send",
    "after-send",
    "after-reply",
    "before-outcome",
]


def arm(group, point):
    """Makes the leader one that kills itself at the point of the next move."""
    victim = group.wait_for_leader()
    victim.terminate()
    victim.start(program=noctua.NOCTUAD_TEST_POINTS, NOCTUA_TEST_POINT=f"{point}:kill:1")
    noctua.wait_until(lambda: lead(group, victim), 60, f"{victim.name} leads again")
    return victim


@pytest.mark.parametrize("point", POINTS)
def test_leader_killed_at(group, world, point):
    victim = arm(group, point)
    group.ctl("switchover", "nocturnal", "--to", NEW, "--yes", "--timeout", "20s", check=False)
    noctua.wait_until(lambda: not victim.running(), 30, f"killed at {point}")
    group.wait_for_leader(30, besides=[victim.name])
    execution = group.wait_for_end(60, epoch=2)
    assert execution["result"] == "done", execution
    assert world.dig() == [noctua.ADDRESSES[NEW]]
    assert len(world.effects()) == 2, world.effects()
    victim.start()
    noctua.wait_until(lambda: (victim.status() or {}).get("leader"), 30, "it is back")


@pytest.mark.parametrize("point", ["before-burn", "after-burn"])
def test_leader_killed_at_burn(group, world, point):
    victim = arm(group, point)
    delayed = world.fault(kind="delay", operation="change", count=1)
    group.ctl("switchover", "nocturnal", "--to", NEW, "--yes", "--timeout", "20s", check=False)
    noctua.wait_until(lambda: any(f["fired"] for f in world.faults()), 30, "a request is held")
    group.ctl("cancel", "nocturnal", "--reason", "test", check=False)
    noctua.wait_until(lambda: not victim.running(), 60, f"killed at {point}")
    group.wait_for_leader(30, besides=[victim.name])
    execution = group.wait_for_end(60, epoch=2)
    assert execution["result"] == "half-moved", execution
    world.release(delayed)
    assert world.dig() == [noctua.ADDRESSES[DEAD]]
    victim.start()
