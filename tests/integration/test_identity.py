"""Who may speak: certificates, groups, directories."""

import os
import shutil
import subprocess

import noctua
import pytest


def ctl_with(group, tls, *arguments):
    command = [str(noctua.NOCTUACTL), "--endpoints",
               ",".join(n.api for n in group.nodes.values()), "--tls", str(tls),
               "--timeout", "2s", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def foreign_user(group, tmp_path, cluster):
    directory = tmp_path / "foreign"
    directory.mkdir(parents=True)
    for arguments in (["init", cluster], ["issue", "user", "eve", "--role", "admin", "--out",
                                          str(directory / "eve")]):
        done = subprocess.run([str(noctua.NOCTUACTL), "pki", *arguments, "--directory",
                               str(directory / "pki")], capture_output=True, text=True,
                              timeout=60, check=False)
        assert done.returncode == 0, done.stderr
    return directory / "eve"


def test_roles(bare_group):
    group = bare_group
    group.pki("issue", "user", "victor", "--role", "viewer", "--out", str(group.user("victor")))
    group.pki("issue", "user", "olga", "--role", "operator", "--out", str(group.user("olga")))
    assert group.ctl("status", user="victor").returncode == 0
    path = group.directory / "s.yaml"
    path.write_text(group.spec_text())
    for user in ("victor", "olga"):
        assert group.ctl("spec", "apply", path, user=user, check=False).returncode == 9
    group.ctl("spec", "apply", path)
    vetoed = group.ctl("veto", "nocturnal", "--reason", "x", user="victor", check=False)
    assert vetoed.returncode == 9
    group.ctl("veto", "nocturnal", "--reason", "x", user="olga")


def test_certificates_that_are_refused(bare_group, tmp_path):
    group = bare_group
    stranger = foreign_user(group, tmp_path, group.cluster)
    assert ctl_with(group, stranger, "status").returncode == 9
    other = foreign_user(group, tmp_path / "o", "another")
    assert ctl_with(group, other, "status").returncode == 9
    # A node's certificate can't act as a user.
    node = group.nodes["n1"].directory / "tls"
    fake = tmp_path / "node-as-user"
    shutil.copytree(node, fake)
    os.rename(fake / "node.pem", fake / "user.pem")
    os.rename(fake / "node.key", fake / "user.key")
    assert ctl_with(group, fake, "status").returncode in (1, 2, 4)


def test_node_with_another_ones_certificate_doesnt_start(bare_group):
    group = bare_group
    victim = next(n for n in group.nodes.values() if n is not group.leader())
    victim.terminate()
    shutil.rmtree(victim.directory / "tls")
    group.pki("issue", "node", "n9", "--out", str(victim.directory / "tls"))
    victim.start()
    assert victim.process.wait(15) == 1
    assert "n9" in victim.process.text()


def test_node_of_another_group_is_refused(bare_group, tmp_path, world):
    group = bare_group
    victim = next(n for n in group.nodes.values() if n is not group.leader())
    victim.terminate()
    other = noctua.Group(tmp_path / "other", world, cluster="another")
    other.make()
    shutil.rmtree(victim.directory / "tls")
    shutil.copytree(other.nodes[victim.name].directory / "tls", victim.directory / "tls")
    victim.start()
    assert victim.process.wait(15) == 1
    assert group.leader() or group.wait_for_leader()


def test_wiped_directory_under_its_old_name_is_refused(group):
    victim = next(n for n in group.nodes.values() if n is not group.leader())
    victim.terminate()
    shutil.rmtree(victim.directory / "data")
    done = victim.daemon("bootstrap")
    assert done.returncode == 0
    victim.start()
    assert victim.process.wait(30) == 1
    last = victim.process.text().strip().splitlines()[-1]
    assert "node_failed" in last, last


def test_start_without_bootstrap_says_what_to_do(tmp_path, world):
    group = noctua.Group(tmp_path / "g", world).make()
    node = group.nodes["n1"]
    shutil.rmtree(node.directory / "data")
    node.start()
    assert node.process.wait(15) == 1
    assert "bootstrap" in node.process.text()
    assert group.nodes["n2"].daemon("bootstrap").returncode == 1  # not a second time


def test_second_daemon_on_one_directory(bare_group):
    node = bare_group.nodes["n1"]
    done = subprocess.run([str(noctua.NOCTUAD), "--config", str(node.config)],
                          capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1
    assert "node_failed" in done.stderr
    assert node.running()


@pytest.mark.parametrize("junk", ["random", "http", "huge", "truncated"])
def test_garbage_on_every_port(bare_group, junk):
    import socket

    content = {
        "random": os.urandom(4096),
        "http": b"GET / HTTP/1.1\r\n\r\n",
        "huge": b"\xff" * (1 << 20),
        "truncated": b"\x16\x03\x01",
    }[junk]
    group = bare_group
    for node in group.nodes.values():
        for port in (node.peer_port, node.api_port, node.http_port):
            with socket.create_connection(("127.0.0.1", port), timeout=5) as s:
                try:
                    s.sendall(content)
                except OSError:
                    pass  # it hung up before all was sent: as it should
    for node in group.nodes.values():
        assert node.running()
        assert node.get("/livez")[0] == 200
    group.wait_for_leader()
