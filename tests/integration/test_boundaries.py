"""kill -9 of the leader at every boundary of a move: nothing twice, nothing lost.

One group lives through all of it, so each boundary is met by a group with a past: other epochs,
other leaders, restarts."""

import noctua
import pytest
from conftest import running_group, running_world, serve

HOME = "us-east-1"
OTHER = "us-west-2"

POINTS = [
    "before-switch",
    "after-switch",
    "before-intent",
    "after-intent",
    "before-attempt",
    "after-attempt",
    "before-send",
    "after-send",
    "after-reply",
    "after-accepted",
    "before-outcome",
    "after-outcome",
]
BURNING = [
    "before-closing",
    "after-closing",
    "before-burn",
    pytest.param("after-burn", marks=pytest.mark.sanitizers),
    "after-reply",
    "before-outcome",
    "after-outcome",
]


@pytest.fixture(scope="module")
def boundary_world(tmp_path_factory):
    with running_world(tmp_path_factory.mktemp("boundaries")) as world:
        yield world


@pytest.fixture(scope="module")
def boundary_group(tmp_path_factory, boundary_world):
    directory = tmp_path_factory.mktemp("boundaries") / "group"
    with running_group(directory, boundary_world, noctua.Group.with_test_points) as group:
        yield serve(group)


@pytest.fixture
def world(boundary_world):
    yield boundary_world
    for fault in boundary_world.faults():
        boundary_world.remove_fault(fault["id"])
    for region in (HOME, OTHER):
        boundary_world.region(region, "up")


@pytest.fixture
def group(boundary_group, world):
    group = boundary_group
    group.revive()
    group.wait_for_health()
    yield group
    group.check()


def standing(group):
    """(epoch, where it is active, where it isn't)"""
    service = group.service()
    active = service["active"]
    return service["epoch"], active, OTHER if active == HOME else HOME


def effects_of(world, epoch):
    return [e for e in world.effects() if f".{epoch}/" in e["comment"]]


@pytest.mark.parametrize("point", POINTS)
def test_leader_killed_at(group, world, point):
    epoch, _, to = standing(group)
    group.arm(point)
    group.ctl("switchover", "nocturnal", "--to", to, "--yes", "--timeout", "20s", check=False)
    victim = group.wait_for_victim()
    group.wait_for_leader(30, besides=[victim.name])
    execution = group.wait_for_end(60, epoch=epoch + 1)
    assert execution["result"] == "done", execution
    assert world.dig() == [noctua.ADDRESSES[to]]
    assert len(effects_of(world, epoch + 1)) == 1
    victim.start()
    noctua.wait_until(lambda: (victim.status() or {}).get("leader"), 30, "it is back")


@pytest.mark.parametrize("point", BURNING)
def test_leader_killed_while_it_burns(group, world, point):
    """A request is on its way for ever; the move is cancelled, so its fence is burnt."""
    epoch, active, to = standing(group)
    held = world.fault(kind="delay", operation="change", count=1, client="close")
    hung = world.fault(kind="hang", operation="change", count=0)  # the attempt after it
    group.ctl("switchover", "nocturnal", "--to", to, "--yes", "--timeout", "20s")
    noctua.wait_until(lambda: all(f["fired"] for f in world.faults()), 30, "two attempts")
    group.ctl("cancel", "nocturnal", "--reason", "test")
    group.arm(point)
    world.remove_fault(hung)
    victim = group.wait_for_victim(60)
    group.wait_for_leader(30, besides=[victim.name])
    execution = group.wait_for_end(60, epoch=epoch + 1)
    assert execution["result"] == "half-moved", execution
    world.release(held)
    assert world.dig() == [noctua.ADDRESSES[active]]
    victim.start()
    group.ctl("switchover", "nocturnal", "--to", to, "--yes", "--wait", "30")
    assert world.dig() == [noctua.ADDRESSES[to]]


@pytest.mark.parametrize("point", ["after-intent", "after-attempt", "after-send", "before-outcome"])
def test_leader_killed_while_it_releases(group, world, point):
    """Whoever comes next reads: the fence goes once, and nothing else does."""
    epoch, active, _ = standing(group)
    group.arm(point)
    group.ctl("release", "--service", "nocturnal", "--yes", "--timeout", "20s", "--reason", "test")
    victim = group.wait_for_victim()
    group.wait_for_leader(30, besides=[victim.name])
    assert group.wait_for_end(60, epoch=epoch + 1)["result"] == "done"
    gone = [e for e in world.effects() if e["fence_after"] is None]
    assert gone[-1]["comment"] == f"{gone[-1]['comment'].split('.')[0]}.{epoch + 1}/0"
    assert world.dig() == [noctua.ADDRESSES[active]]
    victim.start()
    group.ctl("adopt", "nocturnal", "--yes", "--wait", "30", "--reason", "test")


@pytest.mark.parametrize("point", ["before-switch", "after-switch"])
def test_leader_killed_as_an_automatic_move_begins(group, world, point):
    """Before the beginning a new leader lets the move lapse and decides anew; afterwards it goes
    on with it."""
    epoch, active, to = standing(group)
    group.arm(point)
    world.region(active, "refuse")
    victim = group.wait_for_victim()
    group.wait_for_leader(30, besides=[victim.name])
    victim.start()  # two regions must see the third one down
    group.wait_for_active(to, 40)
    execution = group.wait_for_end(60)
    assert execution["result"] == "done"
    assert execution["epoch"] == (epoch + 2 if point == "before-switch" else epoch + 1)
    assert world.dig() == [noctua.ADDRESSES[to]]
    assert len(effects_of(world, epoch + 1)) == (0 if point == "before-switch" else 1)


def test_leader_stopped_between_attempt_and_send(group, world):
    """A zombie: it holds a committed ATTEMPT, sleeps while another leader finishes the move and
    the service is moved back, wakes up, and may send what it had."""
    epoch, active, to = standing(group)
    group.arm("before-send", "stop")
    group.ctl("switchover", "nocturnal", "--to", to, "--yes", "--timeout", "20s")
    zombie = group.wait_for_victim()
    others = [n for n in group.nodes if n != zombie.name]
    group.wait_for_leader(30)
    assert group.wait_for_end(60, epoch=epoch + 1, nodes=others)["result"] == "done"
    group.ctl("switchover", "nocturnal", "--to", active, "--yes", "--wait", "40", nodes=others)
    assert world.dig() == [noctua.ADDRESSES[active]]
    before = len(world.effects())
    zombie.resume()
    leader = group.wait_for_leader()
    noctua.wait_until(
        lambda: (zombie.status() or {}).get("leader") == leader.name
        and (zombie.status() or {}).get("applied_index") == leader.status()["applied_index"],
        20, "the zombie follows",
    )
    assert world.dig() == [noctua.ADDRESSES[active]]
    assert len(world.effects()) == before


def test_zombies_request_arrives_after_a_failback(group, world):
    """The same, but the request had left: it lands when the service is home again."""
    epoch, active, to = standing(group)
    held = world.fault(kind="delay", operation="change", count=1)
    group.ctl("switchover", "nocturnal", "--to", to, "--yes", "--timeout", "20s")
    noctua.wait_until(lambda: any(f["fired"] for f in world.faults()), 30, "a request is held")
    zombie = group.leader()
    zombie.stop()
    others = [n for n in group.nodes if n != zombie.name]
    group.wait_for_leader(30)
    assert group.wait_for_end(60, epoch=epoch + 1, nodes=others)["result"] == "done"
    group.ctl("switchover", "nocturnal", "--to", active, "--yes", "--wait", "40", nodes=others)
    zombie.resume()
    refusals = len([e for e in world.ledger() if e["kind"] == "refused"])
    world.release(held)
    noctua.wait_until(
        lambda: len([e for e in world.ledger() if e["kind"] == "refused"]) > refusals, 10,
        "it is refused",
    )
    assert world.dig() == [noctua.ADDRESSES[active]]


@pytest.mark.parametrize("dead", [1, 3], ids=["leader", "everybody"])
def test_killed_in_mid_move(group, world, dead):
    """kill -9 with a step under way; the move is finished by whoever comes back."""
    epoch, _, to = standing(group)
    fault = world.fault(kind="hang", operation="change", count=0)
    group.ctl("switchover", "nocturnal", "--to", to, "--yes")
    group.wait_for_active(to)
    victims = [group.leader(), *group.followers()][:dead]
    for node in victims:
        node.kill()
    world.remove_fault(fault)
    for node in victims:
        node.start()
    group.wait_for_leader()
    execution = group.wait_for_end(60, epoch=epoch + 1)
    assert execution["result"] == "done"
    assert world.dig() == [noctua.ADDRESSES[to]]
