"""What an operator's terminal shows: as wide as it is, in colours if he wants them."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios

import noctua
import pytest
from conftest import running_group, running_world, serve

ESCAPE = re.compile(r"\033\[[0-9;]*[A-Za-z]")


@pytest.fixture(scope="module")
def group(tmp_path_factory):
    directory = tmp_path_factory.mktemp("screen")
    with running_world(directory / "world") as world, \
            running_group(directory / "group", world) as group:
        yield serve(group)


def on_terminal(group, *arguments, columns=80, nodes=None, **environment):
    """Exit status and text of noctuactl on a terminal of that width."""
    outside, inside = pty.openpty()
    fcntl.ioctl(inside, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    endpoints = nodes or ",".join(n.api for n in group.nodes.values())
    command = [str(noctua.NOCTUACTL), "--endpoints", endpoints, "--tls", str(group.user("alice")),
               *arguments]
    done = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=inside, stderr=inside,
                            env={**os.environ, "TERM": "xterm", **environment})
    os.close(inside)
    text = b""
    while True:
        try:
            piece = os.read(outside, 4096)
        except OSError:  # the other end is closed
            break
        if not piece:
            break
        text += piece
    os.close(outside)
    return done.wait(60), text.decode().replace("\r\n", "\n")


TABLES = [["status"], ["status", "nocturnal"], ["explain", "nocturnal"], ["ready", "nocturnal"],
          ["nodes"], ["history"], ["plan", "nocturnal"], ["spec", "history"]]


@pytest.mark.parametrize("arguments", TABLES, ids=" ".join)
def test_eighty_columns(group, arguments):
    status, text = on_terminal(group, *arguments)
    assert status in (0, 3), text
    rows = [line for line in ESCAPE.sub("", text).splitlines() if re.search(r"\S  +\S", line)]
    assert rows and max(len(line) for line in rows) <= 80, rows


def test_colours_only_where_they_are_wanted(group):
    assert "\033[32mok\033[0m" in on_terminal(group, "status")[1]
    assert "\033" not in on_terminal(group, "status", NO_COLOR="1")[1]
    assert "\033" not in on_terminal(group, "status", TERM="dumb")[1]
    assert "\033" not in group.ctl("status").stdout


def test_a_pipe_gets_whole_cells(group):
    narrow = ESCAPE.sub("", on_terminal(group, "explain", "nocturnal", columns=40)[1])
    assert "…" in narrow
    assert "…" not in group.ctl("explain", "nocturnal").stdout


def test_status_again_and_again(group):
    status, text = on_terminal(group, "status", "-w", "--wait=5")
    assert status == 0
    assert text.count("\033[H\033[J") == text.count("SERVICE") >= 2
    piped = group.ctl("status", "-w", "--wait=3")
    assert piped.stdout.count("SERVICE") >= 2 and "\033" not in piped.stdout
    assert group.ctl("status", "--wait=3", check=False).returncode == 2


def test_without_a_server(group):
    port = noctua.free_ports(1)[0]
    status, text = on_terminal(group, "status", "--timeout", "1s", nodes=f"127.0.0.1:{port}")
    assert status == 4
    assert f"127.0.0.1:{port}" in text
