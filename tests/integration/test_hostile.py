"""Certificates that have ended or were revoked, another group's nodes, recorded and huge frames."""

import contextlib
import os
import shutil
import socket
import ssl
import struct
import subprocess

import noctua
import pytest
from conftest import running_group, serve
from links import Gate, Link, Network

NEW = "us-west-2"
FRAME_VERSION = 0xA1
HELLO, RAFT, REQUEST = 1, 16, 32


def give_user(group, name, *more, wrapper=()):
    group.pki("issue", "user", name, "--role", "admin", "--out", str(group.user(name)), *more,
              wrapper=wrapper)


@pytest.fixture
def old_group(tmp_path, world):
    """Its authority is old enough to have issued what has ended by now."""

    def prepare(group):
        group.issue_again("faketime", "-f", "-30d")

    with running_group(tmp_path / "group", world, prepare) as group:
        yield group


def test_expired_certificates(old_group):
    group = old_group
    serve(group)
    give_user(group, "olivia", "--days", "1", wrapper=["faketime", "-f", "-3d"])
    own = group.ctl("status", user="olivia", check=False)
    assert own.returncode == 9 and "expired" in own.stderr, own
    # A client that doesn't look, or whose clock is wrong, is refused by the nodes.
    refused = group.ctl("status", "--timeout", "2s", user="olivia", check=False,
                        wrapper=["faketime", "-f", "-60h"])
    assert refused.returncode == 9, refused
    assert any(e["event"] == "api_client_refused" and "expired" in e["why"]
               for n in group.nodes.values() for e in n.events())
    # A node's, too: it doesn't take part any more, the others go on.
    victim = group.followers()[0]
    victim.terminate()
    shutil.rmtree(victim.directory / "tls")
    group.pki("issue", "node", victim.name, "--days", "1", "--out", str(victim.directory / "tls"),
              wrapper=["faketime", "-f", "-3d"])
    victim.start()
    noctua.wait_until(
        lambda: "expired" in victim.process.text(), 15, "somebody says that it has expired"
    )
    assert not victim.running() or (victim.status() or {}).get("leader") is None
    group.wait_for_health(regions=[NEW])
    group.ctl("switchover", "nocturnal", "--to", NEW, "--yes", "--wait", "30")


def test_revoked_certificates(bare_group):
    group = bare_group
    serve(group)
    give_user(group, "ralph")
    assert group.ctl("status", user="ralph").returncode == 0
    victim = group.nodes["n3"]
    group.pki("revoke", str(group.user("ralph") / "user.pem"))
    group.pki("revoke", str(victim.directory / "tls" / "node.pem"))
    victim.terminate()
    for name in ("n1", "n2"):
        node = group.nodes[name]
        shutil.copy(group.directory / "pki" / "crl.pem", node.directory / "tls" / "crl.pem")
        node.terminate()
        node.start()
    group.wait_for_leader()
    refused = group.ctl("status", "--timeout", "2s", user="ralph", check=False,
                        nodes=["n1", "n2"])
    assert refused.returncode == 9, refused
    assert group.ctl("status").returncode == 0
    victim.start()  # it hasn't heard of the list
    noctua.wait_until(
        lambda: any("revoked" in n.process.text() for n in group.nodes.values() if n is not victim),
        15, "the others say that it was revoked",
    )
    assert (victim.status() or {}).get("leader") is None
    victim.cut_off = True
    group.wait_for_health(regions=[NEW])
    group.ctl("switchover", "nocturnal", "--to", NEW, "--yes", "--wait", "30", nodes=["n1", "n2"])


def test_node_of_another_group_is_not_let_in(bare_group, tmp_path, world):
    """A node that is right in its own group, and dials into this one."""
    group = bare_group
    serve(group)
    index = group.leader().status()["applied_index"]
    other = noctua.Group(tmp_path / "other", None, cluster="another").make()
    stranger = other.nodes["n1"]
    stranger.write_config(peers={
        "n1": f"127.0.0.1:{stranger.peer_port}",
        "n2": f"127.0.0.1:{group.nodes['n2'].peer_port}",
        "n3": f"127.0.0.1:{group.nodes['n3'].peer_port}",
    })
    # The other way, too: one of ours dials it.
    ours = group.nodes["n1"]
    ours.terminate()
    peers = {n.name: f"127.0.0.1:{n.peer_port}" for n in group.nodes.values()}
    ours.write_config(peers={**peers, "n3": f"127.0.0.1:{stranger.peer_port}"})
    ours.start()
    try:
        stranger.start()
        noctua.wait_until(
            lambda: "peer_link_failed" in stranger.process.text()
            or "refused" in stranger.process.text(), 15, "it isn't let in",
        )
        assert (stranger.status() or {}).get("leader") is None
        group.wait_for_leader()
        group.ctl("switchover", "nocturnal", "--to", NEW, "--yes", "--wait", "30")
        assert group.leader().status()["applied_index"] > index
        assert (stranger.status() or {}).get("leader") is None
        ours.terminate()
        ours.write_config()
        ours.start()
    finally:
        assert not other.end()


# --- frames


def context_of(directory, name):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.load_verify_locations(directory / "ca.pem")
    context.load_cert_chain(directory / f"{name}.pem", directory / f"{name}.key")
    return context


def frame(kind, payload, size=None, version=FRAME_VERSION, flags=0):
    size = len(payload) if size is None else size
    return struct.pack(">BBHI", version, kind, flags, size) + payload


def is_hung_up_on(stream):
    """The other side ends the connection; whatever it says before is read."""
    stream.settimeout(10 * noctua.PATIENCE)
    with contextlib.suppress(ConnectionError, ssl.SSLError):
        while stream.recv(4096):
            pass
    return True


WRONG = {
    "huge": lambda kind: frame(kind, b"x" * 64, size=0xFFFFFFFF),
    "over its limit": lambda kind: frame(kind, b"x" * 64, size=64 << 20),
    "unknown type": lambda kind: frame(63, b"x"),
    "type of the other port": lambda kind: frame(REQUEST if kind == HELLO else HELLO, b"x"),
    "version": lambda kind: frame(kind, b"x", version=0x42),
    "flags": lambda kind: frame(kind, b"x", flags=1),
    "not decodable": lambda kind: frame(kind, os.urandom(200)),
    "not yet allowed": lambda kind: frame(RAFT if kind == HELLO else kind, b"\xff" * 100),
}


@pytest.mark.sanitizers
def test_wrong_frames_after_a_right_handshake(bare_group):
    """From one who has a certificate: refused, and the group doesn't notice."""
    group = bare_group
    serve(group)
    term = group.leader().status()["term"]
    n1, n2 = group.nodes["n1"], group.nodes["n2"]
    ports = [
        (n2.peer_port, context_of(n1.directory / "tls", "node"), HELLO),
        (n2.api_port, context_of(group.user("alice"), "user"), REQUEST),
    ]
    for port, context, kind in ports:
        for name, make in WRONG.items():
            with socket.create_connection(("127.0.0.1", port), timeout=5) as plain:
                with context.wrap_socket(plain) as stream:
                    with contextlib.suppress(OSError):
                        stream.sendall(make(kind))
                    if name == "not decodable" and kind == REQUEST:
                        stream.settimeout(10)
                        with contextlib.suppress(OSError):
                            stream.recv(4096)  # an answer that says so, or the end
                        continue
                    assert is_hung_up_on(stream), (port, name)
    for node in group.nodes.values():
        assert node.running() and node.get("/livez")[0] == 200
    assert group.leader().status()["term"] == term


def test_slow_handshakes_are_dropped(bare_group):
    """Connections that say nothing are ended by the node, on every TLS port."""
    node = bare_group.nodes["n1"]
    open_ones = [socket.create_connection(("127.0.0.1", port), timeout=20 * noctua.PATIENCE)
                 for port in (node.peer_port, node.api_port)]
    for stream in open_ones:
        with contextlib.suppress(ConnectionError):
            assert stream.recv(1) == b""
        stream.close()
    assert node.running()


def test_replayed_frames(tmp_path, world):
    """What a node and an operator really sent, recorded on the wire and sent again."""
    networks = []
    with running_group(tmp_path / "group", world,
                       lambda group: networks.append(Network(group))) as group:
        try:
            serve(group)
            front = Link(("127.0.0.1", group.leader().api_port), Gate(), Gate())
            leader = group.leader()
            vetoed = subprocess.run(
                [str(noctua.NOCTUACTL), "--endpoints", front.address, "--tls",
                 str(group.user("alice")), "veto", "nocturnal", "--reason", "recorded"],
                capture_output=True, text=True, timeout=30, check=False)
            assert vetoed.returncode == 0, vetoed
            group.ctl("unveto", "nocturnal")
            (request,) = front.recorded
            front.end()
            links = [link for link in networks[0].links.values() if link.recorded]
            term = leader.status()["term"]
            targets = [(("127.0.0.1", leader.api_port), bytes(request))]
            targets += [(link.target_address, bytes(link.recorded[0])) for link in links]
            assert len(targets) == 4
            for address, recorded in targets:
                assert len(recorded) > 1000
                with socket.create_connection(address, timeout=5) as stream:
                    with contextlib.suppress(OSError):
                        stream.sendall(recorded)
                    assert is_hung_up_on(stream)
            assert len(group.events("override")) == 1
            assert not group.detail()["overrides"]
            assert leader.status()["term"] == term
            assert group.wait_for_leader() is leader
        finally:
            networks[0].end()
