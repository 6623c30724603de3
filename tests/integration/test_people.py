"""Veto, cancel, pause, skip and release at each phase of a move."""

import noctua
import pytest
from conftest import running_group, running_world, serve

HOME = "us-east-1"
OTHER = "us-west-2"

# How the target is held up so that the move stays in a phase; None: it isn't.
HELD = {
    "switched": {"kind": "hang", "operation": "list", "count": 0},
    "attempted": {"kind": "hang", "operation": "change", "count": 0},
    "accepted": {"kind": "hang", "operation": "getchange", "count": 0},
    "ended": None,
}


@pytest.fixture(scope="module")
def shared_world(tmp_path_factory):
    with running_world(tmp_path_factory.mktemp("people")) as world:
        yield world


@pytest.fixture(scope="module")
def shared_group(tmp_path_factory, shared_world):
    with running_group(tmp_path_factory.mktemp("people") / "group", shared_world) as group:
        yield serve(group)


@pytest.fixture
def world(shared_world):
    yield shared_world
    clear(shared_world)


def clear(world):
    for fault in world.faults():
        world.remove_fault(fault["id"])
    for region in (HOME, OTHER):
        world.region(region, "up")


@pytest.fixture
def group(shared_group, world):
    """At peace: nothing open, no override, active at one region, the other well."""
    yield shared_group
    clear(world)
    group = shared_group
    for end in ("unveto", "resume"):
        group.ctl(end, "nocturnal", check=False)
    group.wait_for_end(30)
    detail = group.detail()
    if detail["half_moved"] or detail["debts"]:
        to = OTHER if detail["active"] == HOME else HOME
        group.ctl("switchover", "nocturnal", "--to", to, "--yes", "--wait", "40")
    group.wait_for_health()
    group.check()


def standing(group):
    service = group.service()
    active = service["active"]
    return service["epoch"], active, OTHER if active == HOME else HOME


def step_phase(group):
    """Of the step that changes DNS."""
    return {s["name"]: s["phase"] for s in group.execution()["steps"]}["dns"]


def begin_and_hold(group, world, phase):
    """A switchover that stays in that phase: (epoch, from, to, undo)."""
    epoch, active, to = standing(group)
    fault = world.fault(**HELD[phase]) if HELD[phase] else None
    group.ctl("switchover", "nocturnal", "--to", to, "--yes")
    if phase == "ended":
        group.wait_for_end(epoch=epoch + 1)
    else:
        wanted = {"switched": "waiting", "attempted": "attempted", "accepted": "accepted"}[phase]
        noctua.wait_until(
            lambda: group.service()["active"] == to and step_phase(group) == wanted
            and (phase == "switched" or any(f["fired"] for f in world.faults())), 20,
            f"dns is {wanted}: {group.execution()}",
        )

    def undo():
        if fault is not None:
            world.remove_fault(fault)

    return epoch + 1, active, to, undo


@pytest.mark.parametrize("phase", ["switched", "attempted", "accepted"])
def test_veto_is_too_late_once_it_has_begun(group, world, phase):
    epoch, _, to, undo = begin_and_hold(group, world, phase)
    late = group.ctl("veto", "nocturnal", "--reason", "stop it", check=False)
    assert late.returncode == 3, late
    assert f"too late: epoch {epoch} began" in late.stderr
    assert "noctuactl cancel nocturnal" in late.stderr
    undo()
    assert group.wait_for_end(epoch=epoch)["result"] == "done"
    assert world.dig() == [noctua.ADDRESSES[to]]
    assert not group.detail()["overrides"]


def test_veto_after_the_end_holds_the_next_move(group, world):
    epoch, active, to, _ = begin_and_hold(group, world, "ended")
    group.ctl("veto", "nocturnal", "--reason", "enough")
    refused = group.ctl("switchover", "nocturnal", "--to", active, "--yes", check=False)
    assert refused.returncode in (3, 7), refused
    assert group.service()["epoch"] == epoch
    assert world.dig() == [noctua.ADDRESSES[to]]


@pytest.mark.parametrize("kind", ["veto", "pause"])
def test_held_while_it_confirms(group, world, kind):
    """In the window: nothing begins, and nothing of the window is lost."""
    epoch, active, to = standing(group)
    group.apply_spec(confirm="2s")
    group.wait_for_health()
    world.region(active, "refuse")
    noctua.wait_until(lambda: group.service()["state"] == "confirming", 20, "the window runs")
    done = group.ctl(kind, "nocturnal", "--reason", "looking at it")
    assert "Nothing was sent" in done.stdout and f"{active} still down" in done.stdout
    gate = {"veto": "vetoed", "pause": "paused"}[kind]
    noctua.wait_until(
        lambda: group.ask("explain", "nocturnal")["failing"] == [gate], 20, f"only {gate} is left"
    )
    assert group.service()["epoch"] == epoch
    group.ctl({"veto": "unveto", "pause": "resume"}[kind], "nocturnal")
    group.wait_for_active(to)
    assert group.wait_for_end()["epoch"] == epoch + 1
    group.apply_spec()


@pytest.mark.parametrize(
    "phase, result, dns",
    [
        ("switched", "half-moved", "refused"),
        ("attempted", "half-moved", "refused"),
        ("accepted", "done", "done"),
    ],
)
def test_cancel(group, world, phase, result, dns):
    epoch, active, to, undo = begin_and_hold(group, world, phase)
    attempts = {s["name"]: s["attempts"] for s in group.execution()["steps"]}["dns"]
    group.ctl("cancel", "nocturnal", "--reason", "second thoughts")
    if phase != "switched":
        assert group.execution()["phase"] == "cancelling"
        again = group.ctl("cancel", "nocturnal", "--reason", "again", check=False)
        assert again.returncode == 3, again
    undo()
    execution = group.wait_for_end(30, epoch=epoch)
    assert execution["result"] == result, execution
    assert {s["name"]: s["phase"] for s in execution["steps"]}["dns"] == dns
    assert {s["name"]: s["attempts"] for s in execution["steps"]}["dns"] == attempts
    assert world.dig() == [noctua.ADDRESSES[to if result == "done" else active]]


def test_cancel_when_nothing_is_open(group):
    done = group.ctl("cancel", "nocturnal", "--reason", "none", check=False)
    assert done.returncode == 3, done


@pytest.mark.parametrize("phase", ["switched", "attempted", "accepted"])
def test_pause_acts_between_steps(group, world, phase):
    """A step that isn't sent waits; one that is goes on, since nothing can call it back."""
    epoch, active, to, undo = begin_and_hold(group, world, phase)
    group.ctl("pause", "nocturnal", "--reason", "let me look")
    undo()
    if phase == "switched":
        refused = group.ctl("failover", "nocturnal", "--to", active, "--yes", check=False)
        assert refused.returncode == 3, refused
        # Whatever the leader had under way when the pause came has been answered by now.
        group.detail()
        assert step_phase(group) == "waiting"
        assert epoch not in [e["epoch"] for e in group.events("intent", "attempt")]
        assert world.dig() == [noctua.ADDRESSES[active]]
        group.ctl("resume", "nocturnal")
    assert group.wait_for_end(30, epoch=epoch)["result"] == "done"
    assert world.dig() == [noctua.ADDRESSES[to]]


@pytest.mark.parametrize("gate", ["vetoed", "paused", "target_healthy"])
def test_skip_by_name(group, world, gate):
    epoch, _, to = standing(group)
    if gate == "target_healthy":
        world.region(to, "refuse")
        noctua.wait_until(lambda: group.votes(to).get("verdict") == "down", 20, "seen down")
    else:
        group.ctl({"vetoed": "veto", "paused": "pause"}[gate], "nocturnal", "--reason", "held")
    held = group.ctl("failover", "nocturnal", "--to", to, "--yes", check=False)
    assert held.returncode in (3, 7), held
    for other in {"vetoed", "paused", "target_healthy"} - {gate}:
        wrong = group.ctl("failover", "nocturnal", "--to", to, "--yes", "--skip", other,
                          "--reason", "INC-1", check=False)
        assert wrong.returncode in (3, 7), (other, wrong)
    silent = group.ctl("failover", "nocturnal", "--to", to, "--yes", "--skip", gate, check=False)
    assert silent.returncode == 2 and "--reason" in silent.stderr
    assert group.service()["epoch"] == epoch
    group.ctl("failover", "nocturnal", "--to", to, "--yes", "--skip", gate, "--reason", "INC-1",
              "--wait", "30")
    execution = group.execution()
    assert (execution["epoch"], execution["result"]) == (epoch + 1, "done")
    assert execution["skipped"] == [gate]
    assert (execution["actor"], execution["reason"]) == ("alice", "INC-1")
    # Of the gates that no operator's move is held by, none can be skipped.
    nothing = group.ctl("failover", "nocturnal", "--yes", "--skip", "verdict", "--reason", "x",
                        check=False)
    assert nothing.returncode == 2


@pytest.mark.parametrize("phase", ["switched", "attempted", "accepted"])
def test_release(group, world, phase):
    epoch, active, to, undo = begin_and_hold(group, world, phase)
    group.ctl("release", "nocturnal", "--step", "dns", "--reason", "it never answers")
    execution = group.wait_for_end(epoch=epoch)
    assert {s["name"]: s["phase"] for s in execution["steps"]}["dns"] == "released"
    # Without an attempt nothing can land later, so nothing is owed.
    assert len(group.detail()["debts"]) == (0 if phase == "switched" else 1)
    undo()
    group.ctl("switchover", "nocturnal", "--to", active, "--yes", "--wait", "30")
    assert group.detail()["debts"] == []
    assert world.dig() == [noctua.ADDRESSES[active]]
    assert group.service()["active"] != to


def test_second_move_while_one_is_open(group, world):
    epoch, active, to, undo = begin_and_hold(group, world, "attempted")
    busy = group.ctl("failover", "nocturnal", "--to", active, "--yes", check=False)
    assert busy.returncode == 3, busy
    changed = group.directory / "other.yaml"
    changed.write_text(group.spec_text(confirm="5s"))
    assert group.ctl("spec", "apply", changed, check=False).returncode == 3
    undo()
    assert group.wait_for_end(epoch=epoch)["result"] == "done"
    assert world.dig() == [noctua.ADDRESSES[to]]


def test_maintenance_of_a_region(group):
    """Neither a target nor suspected, for one service or for all; and it ends."""
    done = group.ctl("maintenance", OTHER, "--for", "30m", "--reason", "new switches")
    assert "in maintenance until" in done.stdout, done
    refused = group.ctl("plan", "nocturnal", "--to", OTHER, check=False)
    assert refused.returncode == 3 and "target_maintenance" in refused.stderr, refused
    group.ctl("unmaintenance", OTHER)
    planned = group.ctl("plan", "nocturnal", "--to", OTHER)
    assert f"us-east-1 -> {OTHER}" in planned.stdout
    assert group.service()["active"] == "us-east-1"
    group.ctl("maintenance", "us-east-1", "nocturnal", "--reason", "its load balancer")
    assert group.detail()["regions"][0]["maintenance"] is True
    group.ctl("unmaintenance", "us-east-1", "nocturnal")
    assert group.detail()["regions"][0]["maintenance"] is False
    done = group.ctl("maintenance", "nowhere", "--reason", "x", check=False)
    assert done.returncode == 2, done
    assert group.ctl("maintenance", OTHER, check=False).returncode == 2  # without a reason


def test_operators_act_on_their_owners_services(group):
    """A certificate with owners covers their services, and nothing that concerns all."""
    def issue(name, *owners):
        words = [w for owner in owners for w in ("--owner", owner)]
        group.pki("issue", "user", name, "--role", "operator", *words, "--out",
                  str(group.user(name)))

    issue("wanda", "web", "data")
    issue("paul", "web", "platform")
    for words in (["veto", "nocturnal"], ["veto", "--all"], ["cancel", "nocturnal"],
                  ["failover", "nocturnal", "--to", OTHER, "--yes"], ["transfer-leader"],
                  ["maintenance", OTHER]):
        done = group.ctl(*words, "--reason", "x", user="wanda", check=False)
        assert done.returncode == 9 and "web,data" in done.stderr, (words, done)
    assert "platform" in group.ctl("veto", "nocturnal", "--reason", "x", user="wanda",
                                   check=False).stderr
    group.ctl("veto", "nocturnal", "--reason", "mine", user="paul")
    assert group.ctl("unveto", "--all", user="paul", check=False).returncode == 9
    group.ctl("unveto", "nocturnal", user="paul")
    assert group.ctl("status", user="wanda").returncode == 0


def test_plan_hash_names_the_plan(group):
    epoch, _, to = standing(group)
    shown = group.ask("plan", "nocturnal", "--to", to)
    assert group.service()["epoch"] == epoch, "a plan begins nothing"
    words = ["failover", "nocturnal", "--to", to, "--yes", "--reason", "drill"]
    done = group.ctl(*words, "--plan-hash", "000000", check=False)
    assert done.returncode == 8, done
    assert group.service()["epoch"] == epoch
    group.ctl(*words, "--plan-hash", shown["plan"], "--wait", "30")
    assert group.service()["active"] == to
