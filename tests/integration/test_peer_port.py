"""The nodes' own port, tried by a judge that isn't ours: openssl s_client."""

import shutil
import subprocess

import noctua
import pytest


def s_client(port, *arguments, send=b""):
    """Says `send` after the handshake and reads until the node hangs up."""
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-ign_eof", *arguments]
    done = subprocess.run(command, input=send, capture_output=True, timeout=60, check=False)
    return (done.stdout + done.stderr).decode(errors="replace")


def identity(directory, name="node"):
    return ["-cert", f"{directory}/{name}.pem", "-key", f"{directory}/{name}.key",
            "-CAfile", f"{directory}/ca.pem", "-verify_return_error"]


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    """One node of three runs; the others would only disturb it."""
    group = noctua.Group(tmp_path_factory.mktemp("peer-port"), None).make()
    group.nodes["n2"].start()
    yield group.nodes["n2"]
    complaints = group.end()
    assert not complaints, "\n".join(complaints)


def said(node, event, words):
    def found():
        return any(line.get("event") == event and words in line.get("why", "")
                   for line in node.events())

    noctua.wait_until(found, 10, f"{event}: {words}")


def listening(node):
    """The endpoints answer before the node listens to its peers; a status is there after it."""
    noctua.wait_until(node.status, 20, "it runs")
    return node.peer_port


def test_a_peers_certificate_gets_tls_1_3_and_has_to_say_hello(node):
    port = listening(node)
    text = s_client(port, *identity(node.group.nodes["n1"].directory / "tls"))
    assert "Verification: OK" in text
    assert "New, TLSv1.3" in text
    # A certificate alone makes no link; the node hung up when no HELLO came.
    assert not [line for line in node.events() if line.get("event") == "peer_link_up"]


@pytest.mark.parametrize("version", ["-tls1_1", "-tls1_2"])
def test_older_tls_is_refused(node, version):
    text = s_client(listening(node), version, "-cipher", "ALL@SECLEVEL=0",
                    *identity(node.group.nodes["n1"].directory / "tls"))
    assert "Cipher is (NONE)" in text
    said(node, "peer_rejected", "unsupported protocol")


def test_no_certificate(node):
    text = s_client(listening(node))
    assert "certificate required" in text
    said(node, "peer_rejected", "no certificate")


def test_another_cas_certificate(node, tmp_path):
    other = noctua.Group(tmp_path, None).make()
    directory = tmp_path / "stranger"
    shutil.copytree(other.nodes["n1"].directory / "tls", directory)
    shutil.copy(node.directory / "tls" / "ca.pem", directory / "ca.pem")
    text = s_client(listening(node), *identity(directory))
    assert "alert" in text
    said(node, "peer_rejected", "not signed by our CA")


def test_a_users_certificate_is_told_why(node):
    text = s_client(listening(node), *identity(node.group.user("alice"), "user"))
    assert "user 'alice' at the port for nodes" in text


def test_a_revoked_peer(node):
    group = node.group
    directory = group.directory / "revoked"
    group.pki("issue", "node", "n3", "--out", str(directory))
    group.pki("revoke", str(directory / "node.pem"))
    shutil.copy(group.directory / "pki" / "crl.pem", node.directory / "tls" / "crl.pem")
    node.terminate()
    node.start()
    text = s_client(listening(node), *identity(directory))
    assert "certificate revoked" in text
    said(node, "peer_rejected", "is revoked")


@pytest.mark.parametrize("frame", [
    b"\xa1\x10\x00\x00\xff\xff\xff\xff",  # a Raft message of 4 GiB
    b"\xa1\x10\x00\x00\x00\x00\x00\x01x",  # a Raft message before HELLO
    b"\xa1\x01\x00\x00\x00\x00\x00\x03abc",  # no HELLO inside
    b"\xa1\x01\x00\x00\x00\x00\x0f",  # and then nothing more
    b"GET / HTTP/1.1\r\n\r\n",
], ids=["huge", "early", "malformed", "truncated", "http"])
def test_frames_of_a_peer_that_are_wrong(node, frame):
    port = listening(node)
    text = s_client(port, *identity(node.group.nodes["n1"].directory / "tls"), send=frame)
    assert "Verification: OK" in text
    assert node.running()
    assert node.get("/livez")[0] == 200
