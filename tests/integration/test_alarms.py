"""A node that is unwell pages by itself, also without a quorum; and says when it is over."""

import contextlib
import http.client
import signal

import noctua
import pytest
from conftest import running_group

KEY = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def paged(tmp_path, world, receiver):
    """A group whose nodes page after a second without a quorum."""
    def prepare(group):
        for node in group.nodes.values():
            (node.directory / "secrets" / "pagerduty").write_text(KEY + "\n")
            with open(node.config, "a", encoding="utf-8") as config:
                config.write(
                    f"alarm: {{pagerduty: file:pagerduty, pagerduty_url: {receiver.url}/v2/enqueue, "
                    f"url: env:HOOK, no_quorum_after: 1s}}\n"
                    f"heartbeat: {{url: {receiver.url}/beat/{node.name}, every: 1s}}\n"
                )
            node.environment["HOOK"] = f"{receiver.url}/hook"

    with running_group(tmp_path / "group", world, prepare=prepare) as group:
        yield group


def value(node, name):
    with contextlib.suppress(OSError, http.client.HTTPException):
        for line in node.get("/metrics")[1].splitlines():
            if line.startswith(name + " "):
                return float(line.split()[1])
    return None


@pytest.mark.sanitizers
def test_no_quorum_is_paged_and_resolved(paged, receiver):
    group = paged
    leader = group.wait_for_leader()
    noctua.wait_until(lambda: ("GET", f"/beat/{leader.name}", None, 202) in receiver.got, 20,
                      "a node that is well feeds the dead man's switch")
    assert not receiver.actions("/v2/enqueue", "test/no_quorum")
    receiver.statuses = [500, 429]
    for node in group.followers():
        node.kill()
    noctua.wait_until(lambda: "trigger" in receiver.actions("/v2/enqueue", "test/no_quorum") and
                      "trigger" in receiver.actions("/hook", "test/no_quorum"), 30, "it is paged")
    noctua.wait_until(lambda: value(leader, 'noctua_alarm{alarm="no_quorum"}') == 1, 10, "metric")
    noctua.wait_until(lambda: value(leader, "noctua_alarms_told") == 1, 10, "everybody knows")
    page = next(b for b in receiver.bodies("/v2/enqueue") if b["dedup_key"] == "test/no_quorum")
    assert page["routing_key"] == KEY
    assert page["payload"]["severity"] == "critical"
    assert page["payload"]["source"] == leader.name
    assert page["payload"]["group"] == "test"
    assert "no quorum" in page["payload"]["summary"]
    assert len(page["payload"]["summary"]) < 1024  # PagerDuty's limit
    # Those that failed were tried again, and it is told once.
    assert receiver.actions("/v2/enqueue", "test/no_quorum") == ["trigger"]
    count = len([g for g in receiver.got if g[1] == f"/beat/{leader.name}"])
    group.revive()
    noctua.wait_until(lambda: receiver.actions("/v2/enqueue", "test/no_quorum")[-1] == "resolve" and
                      receiver.actions("/hook", "test/no_quorum")[-1] == "resolve", 30, "it is over")
    noctua.wait_until(
        lambda: len([g for g in receiver.got if g[1] == f"/beat/{leader.name}"]) > count, 20,
        "and it feeds the switch again",
    )
    noctua.wait_until(lambda: value(leader, 'noctua_alarm{alarm="no_quorum"}') == 0, 10, "metric")
    assert KEY not in leader.process.text()


def test_a_node_that_cannot_go_on_says_so_and_comes_back(paged, receiver):
    group = paged
    node = group.followers()[0]
    key = f"test/stopped/{node.name}"
    noctua.wait_until(lambda: receiver.actions("/v2/enqueue", key) == ["resolve"], 20,
                      "a start takes back what an earlier process may have said")
    node.terminate()
    secret = node.directory / "tls" / "node.key"
    good = secret.read_bytes()
    secret.write_text("no key\n")
    node.start()
    assert node.process.wait() == 1
    noctua.wait_until(lambda: receiver.actions("/v2/enqueue", key)[-1:] == ["trigger"], 20,
                      "somebody else says it")
    told = [b for b in receiver.bodies("/v2/enqueue") if b["dedup_key"] == key][-1]
    assert "node.key" in told["payload"]["custom_details"]["detail"]
    secret.write_bytes(good)
    node.start()
    noctua.wait_until(lambda: receiver.actions("/v2/enqueue", key)[-1] == "resolve", 20, "it is back")


def test_certificate_that_ends_soon(paged, receiver):
    group = paged
    node = group.followers()[0]
    key = f"test/certificate/{node.name}"
    tls = str(node.directory / "tls")
    group.pki("issue", "node", node.name, "--days", "3", "--force", "--out", tls)
    node.process.signal(signal.SIGHUP)
    noctua.wait_until(lambda: receiver.actions("/v2/enqueue", key) == ["trigger"], 20, "it is paged")
    group.pki("issue", "node", node.name, "--days", "90", "--force", "--out", tls)
    node.process.signal(signal.SIGHUP)
    noctua.wait_until(lambda: receiver.actions("/v2/enqueue", key) == ["trigger", "resolve"], 20,
                      "it is over")


def test_what_does_not_page(paged, receiver):
    """One node down, and a change of leaders: nobody is woken."""
    group = paged
    leader = group.wait_for_leader()
    leader.kill()
    second = group.wait_for_leader(besides=[leader.name])
    leader.start()
    group.ctl("transfer-leader")
    noctua.wait_until(
        lambda: {f"/beat/{n.name}" for n in group.nodes.values()} <= {g[1] for g in receiver.got},
        20, "everybody is well",
    )
    assert second.running()
    keys = {(b["event_action"], b["dedup_key"]) for b in receiver.bodies("/v2/enqueue")}
    taken_back = {("resolve", f"test/stopped/{n.name}") for n in group.nodes.values()}
    leaders = {("resolve", f"test/{a}")
               for a in ("foreign_change", "not_ready", "primary_elsewhere")}
    assert keys - leaders == taken_back


def test_a_key_that_is_not_there(paged, receiver):
    node = paged.followers()[0]
    (node.directory / "secrets" / "pagerduty").unlink()
    node.process.signal(signal.SIGHUP)
    noctua.wait_until(
        lambda: any("secrets/pagerduty" in e.get("name", "") for e in node.events()), 20,
        "it says which one",
    )
    noctua.wait_until(lambda: node.get("/readyz")[0] == 200, 20, "and goes on")
