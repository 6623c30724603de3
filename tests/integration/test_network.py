"""Links between nodes are cut, one way or both, and nodes see different worlds."""

import contextlib
import os
import subprocess

import noctua
import pytest
from conftest import running_group, serve
from links import Network

DEAD = "us-east-1"
NEW = "us-west-2"


@contextlib.contextmanager
def networked_group(directory, world):
    networks = []
    with running_group(directory, world, lambda group: networks.append(Network(group))) as group:
        group.network = networks[0]
        try:
            yield group
            group.network.heal()
        finally:
            group.network.end()


@pytest.fixture
def group(tmp_path, world):
    with networked_group(tmp_path / "group", world) as group:
        yield serve(group)


def agree(group, seconds=40):
    """All nodes follow one leader and have applied what it has."""

    def same():
        statuses = [n.status() for n in group.nodes.values()]
        if any(s is None or s["leader"] is None for s in statuses):
            return False
        return len({(s["leader"], s["term"], s["applied_index"]) for s in statuses}) == 1

    noctua.wait_until(same, seconds, "all nodes agree")


@pytest.mark.sanitizers
def test_cut_off_leader(group, world):
    """The majority elects another and moves; the old leader answers what it knew, does nothing, and
    follows once it hears of them."""
    leader = group.wait_for_leader()
    group.network.isolate(leader.name)
    others = [n for n in group.nodes if n != leader.name]
    noctua.wait_until(lambda: leader.get("/readyz")[0] == 503, 20, "not ready without a quorum")
    assert leader.get(f"/services/nocturnal/regions/{DEAD}/active")[0] == 200
    alone = group.ctl("failover", "nocturnal", "--to", NEW, "--yes", "--timeout", "2s",
                      nodes=[leader.name], check=False)
    assert alone.returncode == 4, alone
    second = group.wait_for_leader(30)
    assert second.name in others
    group.ctl("switchover", "nocturnal", "--to", NEW, "--yes", "--wait", "30", nodes=others)
    assert world.dig() == [noctua.ADDRESSES[NEW]]
    # The cut-off node's answer is old, and says so; it isn't changed by what it can't know.
    status, _, headers = leader.get(f"/services/nocturnal/regions/{DEAD}/active")
    assert status == 200 and int(headers["Noctua-Age-Ms"]) > 1000
    assert leader.get(f"/switch/nocturnal/{DEAD}")[1].strip() == f"KEEP-{DEAD}"
    group.network.heal()
    noctua.wait_until(
        lambda: leader.get(f"/services/nocturnal/regions/{NEW}/active")[0] == 200, 40,
        "it follows after the cut",
    )
    agree(group)


def test_minority_with_the_dead_region(group, world):
    """The dying region takes its node's links with it: the majority sees it down and moves."""
    group.network.isolate("n1")
    world.region(DEAD, "hang")
    group.wait_for_active(NEW, 40)
    assert group.wait_for_end(nodes=["n2", "n3"])["result"] == "done"
    assert group.nodes["n1"].get(f"/services/nocturnal/regions/{DEAD}/active")[0] == 200
    group.network.heal()
    agree(group)


def test_everybody_alone(group, world):
    """No quorum anywhere: no answer changes and nothing is done, however dead a region is."""
    for name in group.nodes:
        group.network.isolate(name)
        group.nodes[name].cut_off = True
    world.region(DEAD, "refuse")
    for node in group.nodes.values():
        noctua.wait_until(lambda n=node: n.get("/readyz")[0] == 503, 20, f"{node.name} not ready")
    for node in group.nodes.values():
        assert node.get("/leader")[0] == 503
        assert node.get(f"/services/nocturnal/regions/{DEAD}/active")[0] == 200
        assert node.get(f"/services/nocturnal/regions/{NEW}/active")[0] == 503
    lost = group.ctl("failover", "nocturnal", "--to", NEW, "--yes", "--timeout", "2s", check=False)
    assert lost.returncode == 4, lost
    assert len(world.effects()) == 1
    group.network.heal()
    group.wait_for_active(NEW, 60)
    agree(group)


@pytest.mark.parametrize("direction", ["to", "from"])
def test_leader_cut_one_way(group, world, direction):
    """It hears and isn't heard, or is heard and doesn't hear: moves still happen, once."""
    leader = group.wait_for_leader()
    for name in group.nodes:
        if name != leader.name:
            ends = (leader.name, name) if direction == "from" else (name, leader.name)
            group.network.cut(*ends)
    leader.cut_off = True
    second = group.wait_for_leader(40)
    others = [n for n in group.nodes if n != leader.name]
    assert second.name in others
    group.ctl("switchover", "nocturnal", "--to", NEW, "--yes", "--wait", "30", nodes=others)
    assert world.dig() == [noctua.ADDRESSES[NEW]]
    group.network.heal()
    agree(group)


def test_one_link_cut_one_way(group, world):
    """Two nodes can't talk to each other, the third hears both: there is a leader, and moves."""
    group.network.cut("n2", "n3")
    for to in (NEW, DEAD):
        noctua.wait_until(
            lambda to=to: group.ctl("switchover", "nocturnal", "--to", to, "--yes", "--wait", "30",
                                    check=False).returncode == 0
            or group.service()["active"] == to,
            60, f"moved to {to}",
        )
    group.wait_for_end(30)
    assert world.dig() == [noctua.ADDRESSES[DEAD]]
    group.network.heal()
    agree(group)


# --- different views


def own_hosts(node, address):
    """What the region's name means to one node; written in place, so it changes as it runs."""
    path = node.directory / "hosts"
    with open(path, "w" if not path.exists() else "r+") as file:
        file.write(f"127.0.0.1 localhost\n{address} east.internal\n")
        file.truncate()
    return path


def can_have_views():
    done = subprocess.run([*unshare(), "mount", "--bind", "/etc/hosts", "/etc/hosts"],
                          capture_output=True, check=False)
    return done.returncode == 0


def unshare():
    return ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--mount",
                                                             "--map-root-user"]


HERE, NOWHERE = "127.0.0.1", "127.99.99.99"


@pytest.fixture
def viewers(tmp_path, world):
    if not can_have_views():
        pytest.skip("no mount namespaces here")

    def prepare(group):
        for node in group.nodes.values():
            hosts = own_hosts(node, HERE)
            script = 'mount --bind "$0" /etc/hosts && exec "$@"'
            node.wrapper = [*unshare(), "sh", "-c", script, str(hosts)]

    with running_group(tmp_path / "group", world, prepare) as group:
        port = world.addresses["regions"][DEAD]["http"].rsplit(":", 1)[1]
        yield serve(group, urls={DEAD: f"http://east.internal:{port}/health"})


def sees(group, name):
    opinions = group.votes(DEAD).get("opinions")
    return opinions[list(group.nodes).index(name)] if opinions else None


def test_region_seen_down_by_one_node_only(viewers, world):
    """One node, whichever, also the one in the region itself, moves nothing. Two are believed."""
    group = viewers
    for liar in group.nodes:
        own_hosts(group.nodes[liar], NOWHERE)
        noctua.wait_until(lambda n=liar: sees(group, n) == "down", 20, f"{liar} sees it down")
        assert group.votes(DEAD)["verdict"] == "up"
        own_hosts(group.nodes[liar], HERE)
        noctua.wait_until(lambda n=liar: sees(group, n) == "up", 20, f"{liar} sees it up again")
    assert not group.events("suspect")
    assert group.service()["epoch"] == 1
    for name in ("n2", "n3"):
        own_hosts(group.nodes[name], NOWHERE)
    group.wait_for_active(NEW)
    assert group.wait_for_end()["result"] == "done"
    assert sees(group, "n1") == "up"
