"""What is paged about services, and what isn't (the list: docs/alarms.md)."""

import signal

import noctua
import pytest
from conftest import serve

HOME = "us-east-1"
OTHER = "us-west-2"


@pytest.fixture
def group(paged_group):
    return paged_group


def paged(receiver, alarm):
    """By any node: "trigger" and "resolve" in order, without repetitions (one key, one incident)."""
    actions = receiver.actions("/hook", f"test/{alarm}")
    return [a for i, a in enumerate(actions) if i == 0 or a != actions[i - 1]]


def wait_for(receiver, alarm, action="trigger"):
    noctua.wait_until(lambda: paged(receiver, alarm)[-1:] == [action], 30,
                      f"{alarm} {action}: {receiver.got[-5:]}")
    return next(b for b in reversed(receiver.bodies("/hook")) if b["key"] == f"test/{alarm}")


@pytest.mark.sanitizers
def test_a_failover(group, world, receiver):
    """Suspected, moving, over; each told by whoever can, as one incident."""
    serve(group)
    world.region(HOME, "refuse")
    assert f"nocturnal: {HOME} is down" in wait_for(receiver, "suspect")["summary"]
    assert f"{HOME} -> {OTHER}, epoch 2, by auto" in wait_for(receiver, "moving")["summary"]
    group.wait_for_end()
    wait_for(receiver, "moving", "resolve")
    wait_for(receiver, "suspect", "resolve")
    assert paged(receiver, "move_stopped") == []


def test_an_approval(group, world, receiver):
    serve(group, mode="advise")
    world.region(HOME, "refuse")
    page = wait_for(receiver, "approval_wanted")
    assert "noctuactl approve nocturnal" in page["summary"]
    group.ctl("approve", "nocturnal", "--to", OTHER)
    wait_for(receiver, "approval_wanted", "resolve")
    group.wait_for_active(OTHER)


def test_blocked(group, world, receiver):
    serve(group)
    world.region(OTHER, "refuse")
    world.region(HOME, "refuse")
    assert "noctuactl explain nocturnal" in wait_for(receiver, "blocked")["summary"]
    world.region(HOME, "up")
    wait_for(receiver, "blocked", "resolve")


def shorten(group, key):
    """Not to wait for minutes, or hours."""
    for node in group.nodes.values():
        text = node.config.read_text()
        node.config.write_text(text.replace("/hook}", f"/hook, {key}: 2s}}"))
        node.process.signal(signal.SIGHUP)


def test_a_pause_that_is_forgotten(group, receiver):
    serve(group)
    shorten(group, "pause_forgotten_after")
    group.ctl("pause", "nocturnal", "--reason", "lunch")
    page = wait_for(receiver, "pause_forgotten")
    assert "nocturnal by alice: lunch; noctuactl resume" in page["summary"]
    group.ctl("resume", "nocturnal")
    wait_for(receiver, "pause_forgotten", "resolve")


def test_not_ready_for_a_while(group, world, receiver):
    """Nothing is wrong with what serves; but where it would go nothing answers."""
    serve(group)
    shorten(group, "not_ready_after")
    world.region(OTHER, "refuse")
    assert "noctuactl ready nocturnal" in wait_for(receiver, "not_ready")["summary"]
    world.region(OTHER, "up")
    wait_for(receiver, "not_ready", "resolve")
    assert paged(receiver, "suspect") == []


def test_a_move_that_stopped(group, world, receiver):
    """Until the next one goes through."""
    serve(group)
    name = next(r["name"] for r in world.effects()[0]["records"] if r["type"] == "TXT")
    world.edit({"delete": {"Name": name, "Type": "TXT"}})
    group.ctl("switchover", "nocturnal", "--to", OTHER, "--yes")
    assert group.wait_for_end()["result"] == "half-moved"
    assert "between two regions" in wait_for(receiver, "move_stopped")["summary"]
    wait_for(receiver, "foreign_change")
    record = {"Name": f"{noctua.DOMAIN}.", "Type": "A", "TTL": 60,
              "Values": [noctua.ADDRESSES[OTHER]]}
    world.edit({"set": record})
    group.ctl("adopt", "nocturnal", "--to", OTHER, "--yes", "--wait", "30")
    wait_for(receiver, "move_stopped", "resolve")
    wait_for(receiver, "foreign_change", "resolve")


def test_a_new_leader_goes_on_with_what_the_old_one_paged(group, world, receiver):
    """Deposed, it takes nothing back; the next one does, once it is over."""
    serve(group)
    record = {"Name": f"{noctua.DOMAIN}.", "Type": "A", "TTL": 60, "Values": ["198.51.100.7"]}
    world.edit({"set": record})
    wait_for(receiver, "foreign_change")
    old = group.wait_for_leader()
    group.ctl("transfer-leader", "--reason", "test")
    new = group.wait_for_leader(besides=[old.name])
    noctua.wait_until(
        lambda: any(b["node"] == new.name and b["key"] == "test/foreign_change"
                    for b in receiver.bodies("/hook")), 20, "the new leader has read it, too")
    # The first leader takes back whatever an earlier one may have said; then it is one incident.
    assert paged(receiver, "foreign_change") == ["resolve", "trigger"]
    world.edit({"set": {**record, "Values": [noctua.ADDRESSES[HOME]]}})
    wait_for(receiver, "foreign_change", "resolve")


@pytest.mark.parametrize("why", ["observe", "vetoed", "one node's view", "a node down", "leader"])
def test_what_is_not_paged(group, world, receiver, why):
    serve(group, mode="observe" if why == "observe" else "auto")
    if why == "observe":
        world.region(HOME, "refuse")
        noctua.wait_until(lambda: group.events("would-have"), 20, "it would have moved")
    elif why == "vetoed":
        group.ctl("veto", "nocturnal", "--reason", "we know")
        world.region(HOME, "refuse")
        noctua.wait_until(lambda: group.events("suspect"), 20, "suspected")
    elif why == "one node's view":
        group.nodes["n3"].stop()
        noctua.wait_until(lambda: group.events("expire"), 20, "its opinions are unknown")
        group.nodes["n3"].resume()
    elif why == "a node down":
        group.followers()[0].kill()
    else:
        group.ctl("transfer-leader", "--reason", "test")
    # Something that is paged comes after it: then what came before would be here.
    group.ctl("switchover", "nocturnal", "--to", OTHER, "--yes", "--skip", "vetoed", "--skip",
              "target_healthy", "--reason", "test", "--wait", "30")
    wait_for(receiver, "moving", "resolve")
    keys = {b["key"] for b in receiver.bodies("/hook") if b["action"] == "trigger"}
    assert keys == {"test/moving"}
