"""A region dies, or an operator moves the service: the whole way, on real processes."""

import noctua
import pytest

DEAD = "us-east-1"
NEW = "us-west-2"


def steps(execution):
    return {s["name"]: s["phase"] for s in execution["steps"]}


@pytest.mark.sanitizers
def test_region_dies_with_its_node(group, world):
    world.region(DEAD, "refuse")
    group.nodes["n1"].kill()
    group.wait_for_active(NEW)
    execution = group.wait_for_end()
    assert execution["result"] == "done"
    assert execution["actor"] == "auto"
    assert steps(execution) == {"switch": "done", "dns": "done"}
    assert world.dig() == [noctua.ADDRESSES[NEW]]
    assert len(world.effects()) == 2  # adopted once, moved once


@pytest.mark.parametrize("mode", ["hang", "status:503", "reset"])
def test_region_fails_in_another_way(group, world, mode):
    world.region(DEAD, mode)
    group.wait_for_active(NEW)
    assert group.wait_for_end()["result"] == "done"


def test_switchover_and_back(group, world):
    there = group.ctl("switchover", "nocturnal", "--to", NEW, "--yes", "--wait", "30")
    assert "switch" in there.stdout
    assert world.dig() == [noctua.ADDRESSES[NEW]]
    group.ctl("switchover", "nocturnal", "--to", DEAD, "--yes", "--wait", "30")
    assert world.dig() == [noctua.ADDRESSES[DEAD]]
    assert len(world.effects()) == 3


def test_both_regions_dead_stays_and_says_why(group, world):
    world.region(DEAD, "refuse")
    world.region(NEW, "refuse")
    noctua.wait_until(lambda: group.service()["state"] == "blocked", 20, "blocked")
    explained = group.ask("explain", "nocturnal")
    assert "target_healthy" in explained["failing"]
    assert group.service()["active"] == DEAD
    assert len(world.effects()) == 1
    world.region(NEW, "up")
    group.wait_for_active(NEW)


def test_observe_does_nothing(bare_group, world):
    group = bare_group
    group.apply_spec(mode="observe")
    group.adopt()
    group.wait_for_health()
    world.region(DEAD, "refuse")

    def would_have():
        return next((m for m in group.ask("history")["moves"] if m["kind"] == "would-have"), None)

    row = noctua.wait_until(would_have, 20, "a would-have move in history")
    assert row["result"] == "observe" and row["plan"] == "switch dns"
    assert [g["gate"] for g in row["gates"] if g["result"] == "FAIL"] == ["mode"]
    assert group.service()["active"] == DEAD
    assert len(world.effects()) == 1
    # It is told also when the region is back.
    world.region(DEAD, "up")
    told = noctua.wait_until(lambda: (lambda t: t if "WOULD HAVE" in t else None)(
        group.ctl("explain", "nocturnal").stdout), 20, "explained afterwards")
    assert f"WOULD HAVE MOVED to {NEW} at 20" in told and "switch dns" in told, told
    assert "confirmed" in told


def test_advise_waits_for_approval(bare_group, world):
    group = bare_group
    group.apply_spec(mode="advise")
    group.adopt()
    group.wait_for_health()
    world.region(DEAD, "refuse")

    def asked():
        events = group.ask("history", "nocturnal", "--epoch", "1")["events"]
        return any(e["kind"] == "approval-wanted" for e in events)

    noctua.wait_until(asked, 20, "an approval is asked for")
    assert group.service()["active"] == DEAD
    group.ctl("approve", "nocturnal", "--to", NEW)
    group.wait_for_active(NEW)


def test_veto_pause_and_their_ends(group, world):
    refused = group.ctl("veto", "nocturnal", check=False)
    assert refused.returncode == 2 and "--reason" in refused.stderr
    group.ctl("veto", "nocturnal", "--for", "1h", "--reason", "bad deploy")
    world.region(DEAD, "refuse")
    noctua.wait_until(
        lambda: group.ask("explain", "nocturnal")["failing"] == ["vetoed"], 20, "only the veto"
    )
    forced = group.ctl("failover", "nocturnal", "--to", NEW, "--yes", check=False)
    assert forced.returncode in (3, 7), forced
    group.ctl("pause", "nocturnal", "--reason", "hold on")
    group.ctl("unveto", "nocturnal")
    assert "paused" in group.ask("explain", "nocturnal")["failing"]
    assert group.service()["active"] == DEAD
    group.ctl("resume", "nocturnal")
    group.wait_for_active(NEW)


def test_forced_over_a_failing_gate_by_name(group, world):
    world.region(NEW, "refuse")
    noctua.wait_until(
        lambda: group.ctl(
            "failover", "nocturnal", "--to", NEW, "--dry-run", check=False
        ).returncode == 3,
        15, "the target is seen down",
    )
    unreasoned = group.ctl("failover", "nocturnal", "--to", NEW, "--yes",
                           "--skip", "target_healthy", check=False)
    assert unreasoned.returncode == 2
    group.ctl("failover", "nocturnal", "--to", NEW, "--yes", "--wait", "30",
              "--skip", "target_healthy", "--reason", "INC-1")
    assert group.service()["active"] == NEW
    assert group.execution()["skipped"] == ["target_healthy"]


def test_confirmation_is_asked_for(group, world):
    no = group.ctl("switchover", "nocturnal", "--to", NEW, input="no\n", check=False)
    assert no.returncode == 7
    assert group.service()["active"] == DEAD
    yes = group.ctl("switchover", "nocturnal", "--to", NEW, "--wait", "30", input="nocturnal\n")
    assert "Type 'nocturnal' to go" in yes.stdout
    assert group.service()["active"] == NEW


def test_plan_hash_must_still_hold(group, world):
    done = group.ctl("switchover", "nocturnal", "--to", NEW, "--yes", "--plan-hash", "000000",
                     check=False)
    assert done.returncode == 8, done
    assert group.service()["active"] == DEAD


def test_repeated_command_is_done_once(group, world):
    known = group.ask("status")["applied_index"]
    name = f"{known}-{'ab' * 16}"
    first = group.ctl("switchover", "nocturnal", "--to", NEW, "--yes", "--id", name)
    group.wait_for_end(epoch=2)
    again = group.ctl("switchover", "nocturnal", "--to", NEW, "--yes", "--id", name, check=False)
    assert group.service()["epoch"] == 2, (first, again)
