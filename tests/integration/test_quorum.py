"""Leaders come and go, quorum is lost: answers stay, nothing is done twice."""

import noctua
import pytest

DEAD = "us-east-1"
NEW = "us-west-2"


@pytest.mark.sanitizers
def test_leader_killed_another_takes_over(bare_group):
    group = bare_group
    first = group.wait_for_leader()
    first.kill()
    second = group.wait_for_leader(besides=[first.name])
    assert second.name != first.name
    first.start()
    noctua.wait_until(
        lambda: (first.status() or {}).get("leader") == second.name or group.leader(), 15,
        "the old leader follows",
    )


def test_minority_holds_its_answers_and_does_nothing(group, world):
    leader = group.wait_for_leader()
    others = [n for n in group.nodes.values() if n is not leader]
    for node in others:
        node.kill()
    world.region(DEAD, "refuse")
    noctua.wait_until(lambda: leader.get("/readyz")[0] == 503, 30, "not ready without a quorum")
    status, text, headers = leader.get(f"/services/nocturnal/regions/{DEAD}/active")
    assert status == 200
    assert int(headers["Noctua-Age-Ms"]) > 0
    assert leader.get(f"/services/nocturnal/regions/{NEW}/active")[0] == 503
    assert leader.get(f"/switch/nocturnal/{DEAD}")[1].strip() == f"KEEP-{DEAD}"
    assert len(world.effects()) == 1
    moved = group.ctl("failover", "nocturnal", "--to", NEW, "--yes", "--timeout", "2s",
                      nodes=[leader.name], check=False)
    assert moved.returncode == 4, moved
    for node in others:
        node.start()
    group.wait_for_active(NEW, 60)


def test_zombie_leader_sends_late(bare_group, world):
    """The leader stops itself between the commit of ATTEMPT and its send, is deposed, the move is
    finished by another, the service is moved back; then it wakes up and may send what it had."""
    group = bare_group
    group.apply_spec()
    group.adopt()
    group.wait_for_health()
    leader = group.wait_for_leader()
    leader.terminate()
    leader.start(program=noctua.NOCTUAD_TEST_POINTS, NOCTUA_TEST_POINT="before-send:stop:1")
    group.wait_for_leader()
    noctua.wait_until(lambda: lead(group, leader), 60, f"{leader.name} leads again")
    group.ctl("switchover", "nocturnal", "--to", NEW, "--yes", "--timeout", "20s")
    group.wait_for_leader(30, besides=[leader.name])
    others = [n for n in group.nodes if n != leader.name]
    group.wait_for_end(60, epoch=2, nodes=others)
    group.ctl("switchover", "nocturnal", "--to", DEAD, "--yes", "--wait", "40", nodes=others)
    assert world.dig() == [noctua.ADDRESSES[DEAD]]
    leader.resume()
    noctua.wait_until(lambda: (leader.status() or {}).get("applied_index"), 20, "it is back")
    noctua.wait_until(
        lambda: (group.service() or {}).get("epoch") == 3 and leader.get("/leader")[0] == 503, 20,
        "it follows",
    )
    assert world.dig() == [noctua.ADDRESSES[DEAD]]


def lead(group, wanted):
    """Kills leaders (and starts them again) until the wanted node leads."""
    leader = group.leader()
    if leader is None or leader is wanted:
        return leader
    leader.kill()
    leader.start()
    return None


def test_clock_jumps_move_no_committed_time(bare_group, world):
    """One node whose wall clock is a day ahead: a veto of an hour still holds."""
    group = bare_group
    group.apply_spec()
    group.adopt()
    group.wait_for_health()
    victim = next(n for n in group.nodes.values() if n is not group.leader())
    victim.terminate()
    victim.start(wrapper=["faketime", "-f", "+1d"])
    noctua.wait_until(lambda: (victim.status() or {}).get("leader"), 30, "it is back")
    group.ctl("veto", "nocturnal", "--for", "1h", "--reason", "clock test")
    world.region(DEAD, "refuse")
    noctua.wait_until(
        lambda: group.ask("explain", "nocturnal")["failing"] == ["vetoed"], 20, "only the veto"
    )
    assert len(world.effects()) == 1


def test_rejoins_by_snapshot(tmp_path, world):
    group = noctua.Group(tmp_path / "g", world).make(threshold=64)
    try:
        group.start()
        group.apply_spec()
        group.adopt()
        victim = next(n for n in group.nodes.values() if n is not group.leader())
        victim.kill()
        for i in range(150):
            group.ctl("pause", "nocturnal", "--reason", f"{i}")
            group.ctl("resume", "nocturnal")
        victim.start()
        index = group.leader().status()["applied_index"]
        noctua.wait_until(
            lambda: (victim.status() or {}).get("applied_index", 0) >= index, 30, "caught up"
        )
        assert victim.get(f"/services/nocturnal/regions/{DEAD}/active")[0] == 200
        assert group.ask("status")["automation"] == "on"  # digests agree
    finally:
        complaints = group.end()
    assert not complaints
