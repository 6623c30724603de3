"""How a node is stopped, told to read its files again, and watched over."""

import os
import shutil
import signal
import socket
import subprocess
import threading

import noctua
import pytest
from conftest import running_group


def lines(node, name):
    return [e for e in node.events() if e["event"] == name]


def last_leads(group):
    """(node, term) of the newest leadership that a node has logged."""
    found = [
        (e["term"], node.name)
        for node in group.nodes.values()
        for e in lines(node, "leadership")
        if e["leads"]
    ]
    return max(found)


# --- SIGTERM


@pytest.mark.sanitizers
def test_sigterm_hands_leadership_over_under_load(tmp_path, world):
    """Elections would take 3 s and more here: who writes on, writes on before that."""
    with running_group(tmp_path / "group", world, heartbeat="100ms", election="3s") as group:
        group.apply_spec()
        leader = group.wait_for_leader()
        over = threading.Event()
        refused, written = [], []

        def write():
            while not over.is_set():
                verb = "pause" if len(written) % 2 == 0 else "resume"
                done = group.ctl(verb, "nocturnal", "--reason", f"load {len(written)}", check=False)
                (written if done.returncode == 0 else refused).append((verb, done.stderr))

        thread = threading.Thread(target=write)
        thread.start()
        try:
            noctua.wait_until(lambda: len(written) > 5, 30, "a load")
            assert leader.terminate() == 0
            before = len(written)
            noctua.wait_until(lambda: len(written) > before + 5, 30, "the load goes on")
        finally:
            over.set()
            thread.join()
        assert not refused
        handed = lines(leader, "leadership_transfer")
        assert [e["reason"] for e in handed] == ["this node ends"]
        assert not lines(leader, "leadership_kept")
        assert last_leads(group)[1] != leader.name
        for node in group.nodes.values():
            assert not lines(node, "election_hastened"), "it was no broken link that did it"
        # Each command once, in the order in which they were given.
        done = [e["why"] for e in group.events("override", "override-end")]
        assert done == [f"load {i}" for i in range(len(written))]


def test_sigterm_without_anybody_to_take_over(bare_group):
    group = bare_group
    leader = group.wait_for_leader()
    for node in group.followers():
        node.kill()
    assert leader.terminate() == 0
    assert lines(leader, "leadership_kept") or not leader.is_leader()
    group.revive()


def test_second_signal_ends_it_at_once(bare_group):
    group = bare_group
    leader = group.wait_for_leader()
    followers = group.followers()
    for node in followers:
        node.stop()  # takes nothing over, and doesn't break its link
    leader.process.signal(signal.SIGTERM)
    noctua.wait_until(lambda: lines(leader, "node_stopping"), 10, "it ends")
    leader.process.signal(signal.SIGTERM)
    assert leader.process.wait(10) == 0
    for node in followers:
        node.resume()
    group.revive()


# --- transfer-leader


@pytest.mark.sanitizers
def test_transfer_leader(bare_group):
    group = bare_group
    leader = group.wait_for_leader()
    heir = group.followers()[0]
    done = group.ctl("transfer-leader", heir.name, "--reason", "maintenance of the region")
    assert done.stdout == f"{heir.name} leads now.\n"
    assert group.wait_for_leader().name == heir.name
    assert group.ctl("transfer-leader", heir.name).stdout == f"{heir.name} leads already.\n"
    assert group.ask("transfer-leader")["leader"] != heir.name
    told = lines(leader, "leadership_transfer")[0]
    assert (told["to"], told["actor"]) == (heir.name, "alice")


def test_transfer_leader_that_is_refused(bare_group):
    group = bare_group
    group.wait_for_leader()
    done = group.ctl("transfer-leader", "n9", check=False)
    assert done.returncode == 2 and "no node 'n9'" in done.stderr, done
    victim = group.followers()[0]
    victim.kill()
    noctua.wait_until(
        lambda: "is silent" in group.ctl("transfer-leader", victim.name, check=False).stderr,
        30, "the link is seen to be down",
    )
    done = group.ctl("transfer-leader", victim.name, check=False)
    assert done.returncode == 3, done
    group.pki("issue", "user", "vera", "--role", "viewer", "--out", str(group.user("vera")))
    done = group.ctl("transfer-leader", user="vera", check=False)
    assert done.returncode == 9 and "needs the role operator" in done.stderr, done
    victim.start()


# --- SIGHUP


def reload(node, name):
    before = len(lines(node, name))
    node.process.signal(signal.SIGHUP)
    noctua.wait_until(lambda: len(lines(node, name)) > before, 20, f"{node.name}: {name}")
    return lines(node, name)[-1]


def revoke(group, certificate):
    group.pki("revoke", str(certificate))
    for node in group.nodes.values():
        shutil.copy(group.directory / "pki" / "crl.pem", node.directory / "tls" / "crl.pem")


@pytest.mark.sanitizers
def test_revoked_certificates_are_out_after_a_reload(bare_group):
    group = bare_group
    group.wait_for_leader()
    group.pki("issue", "user", "mallory", "--role", "admin", "--out", str(group.user("mallory")))
    group.pki("issue", "user", "bob", "--role", "viewer", "--out", str(group.user("bob")))
    watch = subprocess.Popen(
        [str(noctua.NOCTUACTL), "--endpoints", group.wait_for_leader().api, "--tls",
         str(group.user("mallory")), "--timeout", "2s", "watch"],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )
    try:
        group.ctl("status", user="mallory")
        victim = group.followers()[0]
        revoke(group, group.user("mallory") / "user.pem")
        revoke(group, victim.directory / "tls" / "node.pem")
        rest = [n for n in group.nodes.values() if n is not victim]
        for node in rest:
            event = reload(node, "config_reloaded")
            assert event["needs_a_restart"] == ""
        closed = [e for n in rest for e in lines(n, "api_client_closed")]
        assert [e["actor"] for e in closed] == ["mallory"], "a standing connection is closed"
        assert watch.wait(30 * noctua.PATIENCE) == 9, watch.stderr.read()
        names = [n.name for n in rest]
        done = group.ctl("status", user="mallory", nodes=names, check=False)
        assert done.returncode == 9 and "revoked" in done.stderr, done
        assert group.ctl("status", user="bob", nodes=names).returncode == 0
        noctua.wait_until(
            lambda: all(any(e["peer"] == victim.name for e in lines(n, "peer_link_down"))
                        for n in rest),
            20, "the links to the revoked node are down",
        )
        group.ctl("pause", "--all", "--reason", "two nodes are a majority", nodes=names)
    finally:
        watch.kill()
        watch.communicate()


def test_renewed_certificate_without_a_restart(bare_group):
    group = bare_group
    node = group.followers()[0]
    assert reload(node, "config_reloaded")["certificate_days"] > 100
    group.pki("issue", "node", node.name, "--days", "3", "--force", "--out",
              str(node.directory / "tls"))
    assert reload(node, "config_reloaded")["certificate_days"] <= 3
    noctua.wait_until(
        lambda: [n["certificate_days"] for n in group.ask("nodes")["nodes"]
                 if n["name"] == node.name][0] <= 3,
        20, "the group sees the new one",
    )
    assert "ends in" in node.daemon("--check-config").stderr


def test_bad_files_change_nothing(bare_group):
    group = bare_group
    node = group.followers()[0]
    key = node.directory / "tls" / "node.key"
    good = key.read_bytes()
    key.write_text("no key\n")
    assert "node.key" in reload(node, "config_not_reloaded")["why"]
    assert "node.key" in node.daemon("--check-config").stderr
    key.write_bytes(good)
    text = node.config.read_text()
    node.config.write_text(text + "nonsense: 1\n")
    assert "nonsense" in reload(node, "config_not_reloaded")["why"]
    node.config.write_text(text)
    assert reload(node, "config_reloaded")["needs_a_restart"] == ""
    assert group.wait_for_leader()


def test_what_needs_a_restart_is_named(bare_group):
    node = bare_group.followers()[0]
    text = node.config.read_text()
    node.config.write_text(text.replace("election: 500ms", "election: 600ms"))
    assert reload(node, "config_reloaded")["needs_a_restart"] == "raft.election"


def test_check_config(bare_group):
    node = bare_group.followers()[0]
    done = node.daemon("--check-config")  # beside the running node
    assert done.returncode == 0 and done.stdout == f"{node.config} is good\n", done
    text = node.config.read_text()
    node.config.write_text(text.replace("node: ", "node: x"))
    assert node.daemon("--check-config").returncode == 2
    node.config.write_text(text.replace("/data\n", "/nothing\n"))
    done = node.daemon("--check-config")
    assert done.returncode == 2 and "noctuad bootstrap" in done.stderr, done
    node.config.write_text(text)


# --- the supervisor


class Supervisor:
    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        self.socket.settimeout(0.1)
        self.told = []

    def has(self, *words):
        try:
            while True:
                self.told.append(self.socket.recv(4096).decode())
        except TimeoutError:
            pass
        return all(any(word in text for text in self.told) for word in words)


def test_supervisor_is_told(bare_group, tmp_path):
    group = bare_group
    node = group.followers()[0]
    supervisor = Supervisor(tmp_path / "notify")
    node.terminate()
    node.start(NOTIFY_SOCKET=str(tmp_path / "notify"), WATCHDOG_USEC="400000")
    leader = group.wait_for_leader(besides=[node.name])
    noctua.wait_until(
        lambda: supervisor.has("READY=1", "WATCHDOG=1", f"STATUS=follows {leader.name}"), 20,
        "ready, alive, and what it does",
    )
    supervisor.told.clear()
    node.process.signal(signal.SIGHUP)
    noctua.wait_until(lambda: supervisor.has("RELOADING=1", "READY=1"), 20, "reloaded")
    node.stop()
    noctua.wait_until(lambda: not supervisor.has("nothing"), 5, "what was on its way is here")
    supervisor.told.clear()
    assert not supervisor.has("WATCHDOG=1"), "a process that stands still says so by silence"
    node.resume()
    node.process.signal(signal.SIGTERM)
    noctua.wait_until(lambda: supervisor.has("STOPPING=1"), 20, "the end is told")
    assert node.process.wait() == 0
    group.revive()


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd here")
def test_unit_is_good(tmp_path):
    unit = tmp_path / "noctuad.service"
    text = (noctua.BUILD / "deploy" / "noctuad.service").read_text()
    assert text.count("/usr/local/sbin/noctuad") == 2
    unit.write_text(text.replace("/usr/local/sbin/noctuad", str(noctua.NOCTUAD)))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(unit)], capture_output=True, text=True,
        check=False, env={**os.environ, "SYSTEMD_LOG_LEVEL": "warning"},
    )
    assert "noctuad.service" not in done.stderr, done.stderr
