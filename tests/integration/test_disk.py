"""A full disk: the node stops with a last line that says so, and starts again once there is room."""

import contextlib
import json
import os
import subprocess

import noctua
import pytest
from conftest import running_group, serve

DISK_BYTES = 96 * 1024 * 1024


def run(*command):
    return subprocess.run([str(a) for a in command], capture_output=True, text=True, check=False)


@contextlib.contextmanager
def small_disk(node):
    """A file system of its own for the node's data; skips where none can be mounted."""
    image = node.directory / "disk.img"
    with open(image, "wb") as file:
        file.truncate(DISK_BYTES)
    node_data = node.directory / "data"
    node_data.mkdir()
    if run("mkfs.ext4", "-q", "-m", "0", image).returncode != 0 or run(
        "mount", "-o", "loop", image, node_data
    ).returncode != 0:
        pytest.skip("no file system can be mounted here")
    try:
        yield node_data
    finally:
        node.process and node.process.kill()
        done = run("umount", node_data)
        assert done.returncode == 0, done.stderr


def fill(directory):
    """Until not a byte is free."""
    chunk = b"\0" * (1 << 20)
    with open(directory / "ballast", "wb", buffering=0) as file:
        while chunk:
            try:
                file.write(chunk)
            except OSError:
                chunk = chunk[: len(chunk) // 2]
        with contextlib.suppress(OSError):
            os.fsync(file.fileno())


def last_line(node):
    return json.loads(node.process.text().strip().splitlines()[-1])


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a file system needs root")
@pytest.mark.parametrize("who", ["follower", "leader"])
def test_full_disk(tmp_path, world, who):
    with contextlib.ExitStack() as stack:
        victim = []

        def prepare(group):
            node = group.nodes["n2"]
            done = run("rm", "-r", node.directory / "data")
            assert done.returncode == 0
            victim.append(node)
            stack.enter_context(small_disk(node))
            (node.directory / "data").chmod(0o700)
            # What mkfs leaves there isn't ours.
            run("rmdir", node.directory / "data" / "lost+found")
            done = node.daemon("bootstrap")
            assert done.returncode == 0, done.stderr

        with running_group(tmp_path / "group", world, prepare, threshold=64) as group:
            node = victim[0]
            serve(group)
            group.wait_to_lead(node if who == "leader" else group.nodes["n1"])
            group.wait_for_health()
            fill(node.directory / "data")
            for i in range(400):
                # With the leader a command may be lost; asked again it is done once.
                group.ctl("pause", "nocturnal", "--reason", f"{i}", check=False)
                group.ctl("resume", "nocturnal", check=False)
                if not node.running():
                    break
            assert node.process.wait(5) == 1
            last = last_line(node)
            assert last["event"] == "node_failed", last
            assert "no space left" in last["why"].lower(), last
            assert str(node.directory / "data") in last["why"], last
            # The others go on without it.
            group.wait_for_leader(30)
            others = [n for n in group.nodes if n != node.name]
            group.ctl("switchover", "nocturnal", "--to", "us-west-2", "--yes", "--wait", "30",
                      nodes=others)
            # Still full: it says so again and does no harm.
            node.start()
            noctua.wait_until(
                lambda: not node.running() or caught_up(group, node), 30,
                "it stops again, or gets by with what is left",
            )
            (node.directory / "data" / "ballast").unlink()
            if not node.running():
                node.start()
            noctua.wait_until(lambda: caught_up(group, node), 30, "caught up after the restart")
            assert node.get("/services/nocturnal/regions/us-west-2/active")[0] == 200


def caught_up(group, node):
    leader = group.leader()
    status = node.status()
    return bool(leader and status) and status["applied_index"] >= leader.status()["applied_index"]
