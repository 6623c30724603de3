"""Leaders come and go, quorum is lost: answers stay, nothing is done twice."""

import noctua
import pytest
from conftest import running_group, serve

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


def test_restart_does_not_tell_old_news(bare_group):
    """A node that starts again reads its log to the end, but logs only what it has not logged."""
    group = bare_group
    node = group.followers()[0]

    def told():
        return [e["index"] for e in node.events() if e["event"] == "state_event"]

    noctua.wait_until(told, 30, "something is told")
    before = told()
    node.terminate()
    node.start()
    group.ctl("pause", "--all", "--reason", "something new")
    noctua.wait_until(lambda: len(told()) > len(before), 30, "the news is told")
    assert told()[: len(before)] == before
    assert told()[len(before)] > before[-1], told()


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


@pytest.mark.sanitizers
def test_rejoins_by_snapshot(tmp_path, world):
    with running_group(tmp_path / "group", world, threshold=64) as group:
        serve(group)
        victim = group.followers()[0]
        victim.kill()
        for i in range(60):
            group.ctl("pause", "nocturnal", "--reason", f"{i}")
            group.ctl("resume", "nocturnal")
        victim.start()
        index = group.leader().status()["applied_index"]
        noctua.wait_until(
            lambda: (victim.status() or {}).get("applied_index", 0) >= index, 30, "caught up"
        )
        assert "snapshot_restored" in [e["event"] for e in victim.events()]
        assert victim.get(f"/services/nocturnal/regions/{DEAD}/active")[0] == 200
