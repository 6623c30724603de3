"""kill -9 of the leader at every boundary of a promotion: no step twice, none lost, no acknowledged
write lost. One group and one real replica set live through all of it, going to and fro."""

import mongod
import noctua
import pytest
from conftest import running_group, running_world
from test_mongo_move import EAST, FIVE, WEST, Writer, knows_all, region_of_primary, section, steps

POINTS = ["before-intent", "after-intent", "before-attempt", "after-attempt", "before-send",
          "after-send", "after-reply", "before-outcome", "after-outcome"]
STEPS = {1: "prefer", 2: "promote", 3: "write"}  # in their order, when all members are well


@pytest.fixture(scope="module", params=mongod.VERSIONS[-1:])
def scene(request, tmp_path_factory):
    """(group, replica set, writer)"""
    directory = tmp_path_factory.mktemp("boundaries")
    with mongod.running(directory / "set", request.param, FIVE) as replica_set, \
            running_world(directory / "world") as world, \
            running_group(directory / "group", world, noctua.Group.with_test_points) as group:
        group.apply_spec(extra=section(replica_set))
        noctua.wait_until(lambda: knows_all(group), 60, "the set is known")
        group.adopt()
        writer = Writer(replica_set)
        yield group, replica_set, writer
        writer.end()
        assert writer.lost() == []


# A member may go before it has answered StepUp: the second reply is that one's, or the write's.
CASES = [(p, n) for p in POINTS for n in STEPS if (p, n) != ("after-reply", 3)]


@pytest.mark.parametrize("point,nth", CASES, ids=[f"{p}-{STEPS[n]}" for p, n in CASES])
def test_leader_killed_at(scene, point, nth):
    group, replica_set, writer = scene
    group.revive()
    group.wait_for_health()
    noctua.wait_until(lambda: knows_all(group), 60, "all members are well")
    service = group.service()
    to = WEST if service["active"] == EAST else EAST
    group.arm(point, nth=nth)
    group.ctl("switchover", "nocturnal", "--to", to, "--yes", "--timeout", "20s", check=False)
    victim = group.wait_for_victim(60)
    group.wait_for_leader(30, besides=[victim.name])
    execution = group.wait_for_end(90, epoch=service["epoch"] + 1)
    assert execution["result"] == "done", execution
    assert set(steps(execution).values()) == {"done"}
    assert region_of_primary(replica_set) == to
    victim.start()
    noctua.wait_until(lambda: (victim.status() or {}).get("leader"), 30, "it is back")
    writer.wait_for_more()
