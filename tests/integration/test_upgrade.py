"""A rolling upgrade to a version with a higher feature level, under load. `noctuad-next` plays it:
from its level on, a veto or pause needs a reason of eight characters. Nodes of both versions apply
the same log; were the rule to hold before all of them know it, their states would differ."""

import http.client
import threading
import time

import invariants
import noctua

HOME = "us-east-1"
OTHER = "us-west-2"
SHORT = "so"


class Load:
    """Commands one after the other, each with a reason of its own, and polls of every endpoint."""

    def __init__(self, group):
        self.group = group
        self.over = threading.Event()
        self.taken, self.failed, self.wrong = [], [], []
        self.polls = 0
        self.regions = {HOME}  # where it may be active now
        self.threads = [threading.Thread(target=t) for t in (self.command, self.poll)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        for thread in self.threads:
            thread.join()

    def command(self):
        number = 0
        while not self.over.is_set():
            verb = "pause" if number % 2 == 0 else "resume"
            reason = f"load number {number}"
            done = self.group.ctl(verb, "other", "--reason", reason, check=False)
            (self.taken if done.returncode == 0 else self.failed).append((reason, done.stderr))
            number += done.returncode == 0

    def poll(self):
        while not self.over.is_set():
            for node in list(self.group.nodes.values()):
                try:
                    serving = [r for r in (HOME, OTHER)
                               if node.get(f"/services/nocturnal/regions/{r}/active")[0] == 200]
                except (OSError, http.client.HTTPException):
                    continue  # it is being upgraded
                self.polls += 1
                # Two questions aren't one: while it switches, both answers may be yes.
                if not set(serving) <= self.regions:
                    self.wrong.append((node.name, serving))
            time.sleep(0.01)

    def goes_on(self):
        before = len(self.taken)
        noctua.wait_until(lambda: len(self.taken) > before + 5, 30, "the load goes on")


def level(node):
    for line in node.get("/metrics")[1].splitlines():
        if line.startswith("noctua_feature_level"):
            return int(float(line.split()[-1]))
    return None


def restart(group, name, program):
    node = group.nodes[name]
    assert node.terminate() == 0
    node.program = program
    node.start()
    noctua.wait_until(lambda: node.running() and ready(node), 30, f"{name} is back")


def ready(node):
    try:
        return node.get("/readyz")[0] == 200
    except (OSError, http.client.HTTPException):
        return False


def veto(group, reason):
    done = group.ctl("veto", "nocturnal", "--for", "1h", "--reason", reason, check=False)
    if done.returncode == 0:
        group.ctl("unveto", "nocturnal", "--reason", "test")
    return done.returncode


def two_services(group):
    """`other` takes the load's commands, so that `nocturnal` may move in the middle of it."""
    extra = """  other:
    mode: observe
    home: us-east-1
    targets: [us-west-2]
    checks:
      api: {url: "tcp://127.0.0.1:9", interval: 1s, timeout: 500ms}
"""
    group.apply_spec(group.spec_text() + extra)
    group.adopt()
    group.wait_for_health()


def test_rolling_upgrade(bare_group, world):
    group = bare_group
    two_services(group)
    with Load(group) as load:
        load.goes_on()
        restart(group, "n1", noctua.NOCTUAD_NEXT)
        load.goes_on()
        restart(group, "n2", noctua.NOCTUAD_NEXT)
        load.goes_on()
        # Two of three are new, and whoever leads, the old rules hold.
        for leader in ("n1", "n3"):
            group.ctl("transfer-leader", leader, check=False)
            assert veto(group, SHORT) == 0
            assert {level(n) for n in group.nodes.values()} == {1}
        # It may still be taken back.
        restart(group, "n2", noctua.NOCTUAD)
        load.goes_on()
        load.regions = {HOME, OTHER}
        group.ctl("switchover", "nocturnal", "--to", OTHER, "--yes", "--wait", "40")
        noctua.wait_until(lambda: all(n.get(f"/services/nocturnal/regions/{OTHER}/active")[0] == 200
                                      for n in group.nodes.values()), 20, "everybody says so")
        load.regions = {OTHER}
        restart(group, "n2", noctua.NOCTUAD_NEXT)
        load.goes_on()
        assert {level(n) for n in group.nodes.values()} == {1}
        restart(group, "n3", noctua.NOCTUAD_NEXT)
        noctua.wait_until(lambda: {level(n) for n in group.nodes.values()} == {2}, 30, "level 2")
        load.goes_on()
        assert veto(group, SHORT) == 2
        assert veto(group, "a better reason") == 0
    assert not load.failed, load.failed
    assert not load.wrong, load.wrong
    assert load.polls > 100
    assert world.dig() == [noctua.ADDRESSES[OTHER]]
    # Each command that was answered is in the log, once.
    seen = [e["why"] for e, _ in invariants.committed_events(group.nodes.values())
            if e["kind"].startswith("override") and e["why"].startswith("load number")]
    assert len(seen) == len(set(seen))
    assert set(seen) == {reason for reason, _ in load.taken}
    # Now there is no way back: an old one stops and says why, and the others go on.
    old = group.nodes["n3"]
    assert old.terminate() == 0
    old.program = noctua.NOCTUAD
    old.start()
    noctua.wait_until(lambda: not old.running(), 30, "the old version stops")
    assert "supports 1: install a newer one there" in old.process.text()
    assert veto(group, "a better reason") == 0
    old.program = noctua.NOCTUAD_NEXT
    old.start()
    noctua.wait_until(lambda: ready(old), 30, "the new one runs again")


def test_an_old_node_does_not_join_a_newer_group(bare_group):
    """Its log is empty, so only what it says of itself tells."""
    group = bare_group
    group.apply_spec()
    for name in group.nodes:
        restart(group, name, noctua.NOCTUAD_NEXT)
    noctua.wait_until(lambda: {level(n) for n in group.nodes.values()} == {2}, 30, "level 2")
    node = noctua.Node(group, "n4", OTHER, noctua.free_ports(3))
    (node.directory / "secrets").mkdir(parents=True)
    group.pki("issue", "node", "n4", "--out", str(node.directory / "tls"))
    group.nodes["n4"] = node
    for other in list(group.nodes.values()):
        other.write_config()
    for name in ("n1", "n2", "n3"):
        restart(group, name, noctua.NOCTUAD_NEXT)
    assert node.daemon("join").returncode == 0
    node.start()
    noctua.wait_until(lambda: not node.running(), 30, "it stops")
    assert "supports 1: install a newer one there" in node.process.text()
    done = group.ctl("nodes", "add", "n4", check=False)
    assert done.returncode == 3, done
    del group.nodes["n4"]
