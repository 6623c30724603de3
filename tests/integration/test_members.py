"""Nodes that join and leave a running group."""

import contextlib
import http.client

import noctua
import pytest


def rows(group, **options):
    return {row["name"]: row for row in group.ask("nodes", **options)["nodes"]}


def is_ready(node):
    with contextlib.suppress(OSError, http.client.HTTPException):
        return node.get("/readyz")[0] == 200
    return False


def newcomer(group, name="n4", region="us-west-2"):
    """Ports and certificate of a node that no other knows yet."""
    node = noctua.Node(group, name, region, noctua.free_ports(3))
    (node.directory / "secrets").mkdir(parents=True)
    group.pki("issue", "node", name, "--out", str(node.directory / "tls"))
    group.nodes[name] = node
    return node


def know(group, node):
    """The newcomer in everybody's `peers`, and everybody restarted, one by one."""
    for other in group.nodes.values():
        other.write_config()
    for other in list(group.nodes.values()):
        if other is not node and other.running():
            assert other.terminate() == 0
            other.start()
            noctua.wait_until(lambda n=other: is_ready(n), 30, f"{other.name} is back")


def join(group, node):
    done = node.daemon("join")
    assert done.returncode == 0, done.stderr
    node.start()
    noctua.wait_until(lambda: rows(group)[node.name]["link"], 30, f"{node.name} is there")
    done = group.ctl("nodes", "add", node.name, "--reason", "a spare for n1")
    assert f"{node.name} joins" in done.stdout, done
    noctua.wait_until(lambda: rows(group)[node.name]["role"] in ("follower", "leader"), 30,
                      f"{node.name} has its vote")


@pytest.mark.sanitizers
def test_a_lost_node_is_replaced(bare_group):
    group = bare_group
    group.apply_spec()
    node = newcomer(group)
    know(group, node)
    assert rows(group)["n4"]["role"] == "not added"
    join(group, node)
    noctua.wait_until(lambda: rows(group)["n4"]["region"] == "us-west-2", 20, "its region is known")
    assert group.ask("nodes")["quorum"] == {"need": 3, "seen": 4, "total": 4}
    # n1 is lost for good.
    group.ctl("transfer-leader", "n2")
    lost = group.nodes["n1"]
    lost.kill()
    noctua.wait_until(lambda: rows(group)["n1"]["role"] == "silent", 30, "n1 is missed")
    done = group.ctl("nodes", "remove", "n1", "--reason", "burnt down")
    assert "n1 is out of the group" in done.stdout
    noctua.wait_until(lambda: group.ask("nodes")["quorum"]["total"] == 3, 20, "three nodes again")
    assert group.ask("nodes")["quorum"] == {"need": 2, "seen": 3, "total": 3}
    # n4 counts: with it, another one may be lost.
    group.nodes["n3"].kill()
    group.ctl("pause", "nocturnal", "--reason", "n2 and n4 are a majority")
    group.ctl("resume", "nocturnal")
    group.nodes["n3"].start()
    del group.nodes["n1"]


def test_the_leader_is_replaced_by_one_command(bare_group):
    group = bare_group
    node = newcomer(group)
    know(group, node)
    group.wait_to_lead(group.nodes["n1"])
    refused = group.ctl("nodes", "replace", "n1", "n4", check=False)
    assert refused.returncode == 3 and "On it: `noctuad join`" in refused.stderr, refused
    assert node.daemon("join").returncode == 0
    node.start()
    noctua.wait_until(lambda: rows(group)["n4"]["link"], 30, "n4 is there")
    done = group.ctl("nodes", "replace", "n1", "n4", "--wait", "60", "--reason", "a new machine")
    assert "n4 has its vote" in done.stdout and "n1 is out of the group" in done.stdout, done
    noctua.wait_until(lambda: rows(group, nodes=["n2", "n3", "n4"])["n1"]["role"] == "not added",
                      20, "n1 is out")
    again = group.ctl("nodes", "replace", "n1", "n4", nodes=["n2", "n3", "n4"], check=False)
    assert again.returncode == 2 and "no node of that name" in again.stderr, again
    group.nodes.pop("n1").kill()


def test_membership_survives_the_leader(bare_group):
    """The vote is given, and NODES follows, whoever leads when the newcomer is level."""
    group = bare_group
    node = newcomer(group)
    know(group, node)
    assert node.daemon("join").returncode == 0
    node.start()
    noctua.wait_until(lambda: rows(group)["n4"]["link"], 30, "n4 is there")
    group.ctl("nodes", "add", "n4")
    leader = group.wait_for_leader()
    leader.kill()
    noctua.wait_until(lambda: rows(group)["n4"]["role"] in ("follower", "leader"), 30,
                      "n4 has its vote")
    leader.start()
    noctua.wait_until(lambda: group.ask("nodes")["quorum"]["seen"] == 4, 30, "four nodes")


def test_changes_that_are_refused(bare_group):
    group = bare_group
    leader = group.wait_for_leader().name
    victim = group.followers()[0]

    def refused(status, words, *arguments, **options):
        done = group.ctl("nodes", *arguments, check=False, **options)
        assert done.returncode == status and words in done.stderr, done

    refused(3, "belongs to the group already", "add", leader)
    refused(3, "isn't among the peers", "add", "n9")
    refused(2, "is no name of a node", "add", "N 9")
    refused(2, "has no node 'n9'", "remove", "n9")
    refused(3, "First: noctuactl transfer-leader", "remove", leader)
    group.pki("issue", "user", "olga", "--role", "operator", "--out", str(group.user("olga")))
    refused(9, "for the role admin", "remove", victim.name, user="olga")
    victim.kill()
    noctua.wait_until(lambda: rows(group)[victim.name]["role"] == "silent", 30, "it is missed")
    other = next(node.name for node in group.followers() if node is not victim)
    refused(3, "without " + other + " 2 nodes would be needed and 1 are seen", "remove", other)
    victim.start()
    noctua.wait_until(lambda: is_ready(victim), 30, "it is back")
    # One that doesn't run can't join.
    node = newcomer(group)
    know(group, node)
    refused(3, "n4 is silent", "add", "n4")
    del group.nodes["n4"]
