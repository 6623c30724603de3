"""noctuactl without a group: what it makes of its arguments, of files, and of nobody answering."""

import contextlib
import os
import socket
import stat
import subprocess
import threading
import time

import noctua
import pytest

pytestmark = pytest.mark.sanitizers

COMMANDS = ["status", "explain", "watch", "history", "nodes", "failover", "switchover", "adopt",
            "veto", "unveto", "pause", "resume", "approve", "reject", "cancel", "release",
            "resume-automation", "spec validate", "spec apply", "spec get", "pki init", "pki issue",
            "pki revoke", "version"]
DONE, INTERNAL, USAGE, UNREACHABLE = 0, 1, 2, 4


def ctl(*arguments, input=None, cwd=None, **environment):
    """A run that reaches nobody: port 1 of loopback refuses."""
    return subprocess.run(
        [str(noctua.NOCTUACTL), *[str(a) for a in arguments]], capture_output=True, text=True,
        input=input, cwd=cwd, timeout=60 * noctua.PATIENCE, check=False,
        env={**os.environ, "NOCTUA_ENDPOINTS": "127.0.0.1:1", **environment})


def refuses(status, words, *arguments, **more):
    done = ctl(*arguments, **more)
    assert words in done.stderr, done
    assert done.returncode == status, done
    assert "Sanitizer" not in done.stderr, done.stderr
    return done


@pytest.fixture(scope="module")
def pki(tmp_path_factory):
    directory = tmp_path_factory.mktemp("pki")
    for arguments in (["init", "prod"], ["issue", "user", "alice", "--role", "admin"],
                      ["issue", "node", "n1", "--name", "127.0.0.1", "--name", "n1.example.com"]):
        done = ctl("pki", *arguments, cwd=directory)
        assert done.returncode == DONE, done.stderr
    return directory


@pytest.fixture
def alice(pki):
    return str(pki / "alice")


# --- commands and options


def test_help_lists_every_command():
    done = ctl("--help")
    assert done.returncode == DONE
    for command in COMMANDS:
        assert f"\n  {command} " in done.stdout, command
    for number in range(11):
        assert f" {number} " in done.stdout.split("Exit status:")[1]


@pytest.mark.parametrize("words, nearest", [
    ("statsu", "status"), ("fialover", "failover"), ("spec aply", "spec apply"),
    ("pki isue", "pki issue"), ("histroy", "history"), ("unvetoo", "unveto"), ("node", "nodes"),
])
def test_did_you_mean(words, nearest):
    refuses(USAGE, f"there is no command '{words}'; did you mean '{nearest}'?", *words.split())


@pytest.mark.parametrize("words", ["frobnicate", "x", "spec frobnicate", "", "y" * 500])
def test_unknown_commands(words):
    done = refuses(USAGE, "there is no command", *(words.split() or [""]))
    assert "did you mean" not in done.stderr


@pytest.mark.parametrize("arguments, words", [
    ([], "which command?"),
    (["spec"], "'spec' what?"),
    (["pki"], "'pki' what?"),
    (["explain"], "explain needs SERVICE"),
    (["failover"], "failover needs SERVICE"),
    (["explain", "a", "b"], "explain takes no more than 'SERVICE'"),
    (["nodes", "a"], "nodes takes no more than"),
    (["pki", "issue", "user"], "pki issue needs node|user NAME"),
    (["status", "--yes"], "status takes no --yes"),
    (["status", "--ye"], "status takes no --yes"),
    (["status", "--reason=x"], "status takes no --reason"),
    (["explain", "a", "--to", "b"], "explain takes no --to"),
    (["nodes", "--directory", "x"], "nodes takes no --directory"),
    (["approve", "a", "--expires", "1h"], "approve takes no --for"),
    (["status", "--nonsense"], "unrecognized option '--nonsense'"),
    (["status", "-o", "xml"], "-o is table, json or yaml, not 'xml'"),
    (["status", "-o"], "requires an argument"),
    (["veto", "a", "--reason", "x", "--for", "30"], "--for is a time with its unit"),
    (["veto", "a", "--reason", "x", "--for", "0"], "--for is at least 1s"),
    (["status", "--timeout", "soon"], "--timeout is a time with its unit"),
    (["status", "--timeout", "100d"], "--timeout is at most"),
    (["failover", "a", "--wait=soon"], "--wait is a whole number"),
    (["failover", "a", "--wait=0"], "--wait is a whole number from 1"),
    (["failover", "a", "--wait=100000"], "--wait is"),
    (["failover", "a", "--wait=213503982334d"], "--wait is"),
    (["explain", "a", "--epoch", "-1"], "--epoch is a whole number"),
    (["explain", "a", "--epoch", "18446744073709551616"], "--epoch is a whole number"),
    (["history", "--limit", "x"], "--limit is a whole number"),
    (["failover", "a", "--reason", "x", *["--skip", "cooldown"] * 17], "at most 16 gates"),
    (["release", "a", "--reason", "x"], "either SERVICE --step NAME"),
    (["veto", "--reason", "x"], "name a service, or --all"),
    (["pki", "issue", "dog", "rex"], "not 'dog'"),
])
def test_wrong_usage(arguments, words):
    refuses(USAGE, words, *arguments)


@pytest.mark.parametrize("command", ["veto", "pause", "release", "cancel", "reject"])
@pytest.mark.parametrize("reason", [[], ["--reason", ""]])
def test_reasons_are_asked_for(command, reason):
    refuses(USAGE, f"{command} needs --reason TEXT", command, "a", *reason)


def test_a_skipped_gate_needs_a_reason():
    refuses(USAGE, "failover needs --reason TEXT", "failover", "a", "--skip", "cooldown")


def test_values_that_look_like_options(alice):
    """A value is a value, whatever it looks like: these get as far as asking."""
    for reason in ("--yes", "--force", "--wait"):
        refuses(UNREACHABLE, "127.0.0.1:1", "veto", "a", "--reason", reason, "--tls", alice,
                "--timeout", "1ms")


@pytest.mark.parametrize("arguments", [
    ["failover", "a", "--wait", "30"], ["failover", "--wait", "30", "a"],
    ["failover", "a", "--wait", "30s"], ["failover", "a", "--wait=30"], ["failover", "--wait", "a"],
    ["--wait", "30", "failover", "a"], ["watch", "--wait", "1"],
])
def test_wait_takes_its_seconds_anywhere(alice, arguments):
    refuses(UNREACHABLE, "127.0.0.1:1", *arguments, "--tls", alice, "--timeout", "1ms")


# --- nobody answers


@pytest.mark.parametrize("command", [["status"], ["nodes"], ["spec", "get"], ["failover", "a"],
                                     ["veto", "a", "--reason", "x"], ["watch"]])
def test_no_server(alice, command):
    began = time.monotonic()
    done = refuses(UNREACHABLE, "127.0.0.1:1", *command, "--tls", alice, "--timeout", "500ms")
    assert time.monotonic() - began < 3 * noctua.PATIENCE
    assert done.stdout == ""


def test_version_without_a_server_says_its_own(alice):
    done = refuses(UNREACHABLE, "127.0.0.1:1", "version", "--tls", alice, "--timeout", "1ms")
    assert done.stdout.startswith("noctuactl ")


@contextlib.contextmanager
def listener(serve):
    """Somebody on a port who does this with each connection, and holds it until the end."""
    held = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        def accept():
            with contextlib.suppress(OSError):
                while True:
                    connection = server.accept()[0]
                    held.append(connection)
                    serve(connection)
        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield f"127.0.0.1:{server.getsockname()[1]}"
        with contextlib.suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)
        thread.join(5)
    for connection in held:
        connection.close()


@pytest.mark.parametrize("what", ["silent", "garbage", "closes"])
def test_somebody_who_is_no_node(alice, what):
    serve = {"silent": lambda c: None, "garbage": lambda c: c.sendall(b"HTTP/1.1 400 No\r\n\r\n"),
             "closes": lambda c: c.close()}[what]
    with listener(serve) as address:
        began = time.monotonic()
        refuses(UNREACHABLE, address, "status", "--tls", alice, "--timeout", "1s", "--endpoints",
                address)
        assert time.monotonic() - began < 3 * noctua.PATIENCE


@pytest.mark.parametrize("endpoints", ["localhost", ":7601", "localhost:", "localhost:http",
                                       "localhost:0", "localhost:65536", "localhost:123456789",
                                       "a:1,,b:1", ",", "h" * 300 + ":1",
                                       ",".join(["a:1"] * 17)])
def test_bad_endpoints(alice, endpoints):
    refuses(USAGE, "endpoints are host:port,host:port", "status", "--tls", alice, "--endpoints",
            endpoints)


def test_no_endpoints(alice):
    refuses(USAGE, "no endpoints", "status", "--tls", alice, "--endpoints", "")
    refuses(USAGE, "no endpoints", "status", "--tls", alice, NOCTUA_ENDPOINTS="")


def test_endpoints_may_be_ipv6(alice):
    refuses(UNREACHABLE, "::1", "status", "--tls", alice, "--endpoints", "[::1]:1", "--timeout",
            "1ms")


def test_every_address_of_a_name_is_tried(alice):
    """localhost is ::1 as well, where nobody listens."""
    came = []
    with listener(lambda c: (came.append(1), c.close())) as address:
        port = address.rsplit(":", 1)[1]
        refuses(UNREACHABLE, "localhost", "status", "--tls", alice, "--endpoints",
                f"localhost:{port}", "--timeout", "100ms")
    assert came


def test_a_name_that_nobody_knows(alice):
    refuses(UNREACHABLE, "nobody.invalid", "status", "--tls", alice, "--endpoints",
            "nobody.invalid:7601", "--timeout", "1ms")


def test_tls_directories_that_are_none(alice, tmp_path):
    done = ctl("status", "--tls", tmp_path / "none", "--timeout", "1ms")
    assert done.returncode in (INTERNAL, USAGE), done
    assert str(tmp_path / "none") in done.stderr
    (tmp_path / "bad").mkdir()
    for name in ("ca.pem", "user.pem", "user.key"):
        (tmp_path / "bad" / name).write_text("nonsense")
    done = ctl("status", "--tls", tmp_path / "bad", "--timeout", "1ms")
    assert done.returncode in (INTERNAL, USAGE), done
    assert "ca.pem" in done.stderr or "user." in done.stderr


@pytest.mark.parametrize("id", ["x", "1", "1-", "-1", "1-zz", "x-" + "0" * 32, "1-" + "0" * 31,
                                "1-" + "0" * 33, "1-" + "A" * 32, "9" * 30 + "-" + "0" * 32])
def test_ids_that_are_none(alice, id):
    refuses(USAGE, "--id is what an interrupted command printed", "veto", "a", "--reason", "x",
            f"--id={id}", "--tls", alice)


# --- specs

GOOD = """version: 1
regions:
  us-east-1: {}
  us-west-2: {}
  eu-west-1: {role: witness}
services:
  nocturnal:
    home: us-east-1
    checks:
      api: {url: "https://$region.api.nocturnal.com/health"}
"""


def spec(tmp_path, text):
    path = tmp_path / "s.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_a_good_spec(tmp_path):
    path = spec(tmp_path, GOOD)
    done = ctl("spec", "validate", path)
    assert done.returncode == DONE, done.stderr
    assert done.stdout == f"{path} is good\n"
    done = ctl("spec", "validate", "-", input=GOOD)
    assert done.returncode == DONE, done.stderr


@pytest.mark.parametrize("text, place, words", [
    ("", "", ""),
    ("version: 1\n", "", "regions"),
    (GOOD.replace("home:", "hom:"), ":8:5:", "home"),
    (GOOD.replace("home: us-east-1", "home: eu-west-1"), ":8:", "eu-west-1"),
    (GOOD.replace("version: 1", "version: 2"), ":1:", "version"),
    (GOOD.replace("https:", "gopher:"), ":10:", "gopher"),
    (GOOD + "  nocturnal: {}\n", ":11:", "nocturnal"),
    (GOOD.replace("{role: witness}", "{role: witness"), ":", ""),
    (b"\xff\xfe" + GOOD.encode(), ":1:", ""),
    (GOOD.encode() + b"\0", ":", ""),
    ("a: " * 10000, ":", ""),
    ("[" * 10000, ":", ""),
    ("x" * (256 * 1024 + 1), "", "larger than"),
], ids=["empty", "no regions", "unknown key", "home", "version", "scheme", "twice", "open brace",
        "bytes", "nul", "deep mappings", "deep lists", "too large"])
def test_bad_specs(tmp_path, text, place, words):
    path = spec(tmp_path, text)
    done = ctl("spec", "validate", path)
    assert done.returncode == USAGE, done
    assert f"{path}{place}" in done.stderr or place == ""
    assert words in done.stderr
    assert "error" in done.stderr or "larger" in done.stderr
    assert done.stdout == ""
    # A bad spec isn't sent to anybody either.
    assert ctl("spec", "apply", path).returncode == USAGE


def test_spec_files_that_are_none(tmp_path):
    refuses(USAGE, "No such file", "spec", "validate", tmp_path / "none.yaml")
    refuses(USAGE, "directory", "spec", "validate", tmp_path)
    refuses(USAGE, "spec validate needs FILE", "spec", "validate")


# --- the authority


def test_what_pki_makes(pki):
    assert sorted(p.name for p in (pki / "pki").iterdir()) == ["ca.key", "ca.pem", "crl.pem",
                                                                "issued"]
    assert sorted(p.name for p in (pki / "alice").iterdir()) == ["ca.pem", "crl.pem", "user.key",
                                                                  "user.pem"]
    assert sorted(p.name for p in (pki / "n1").iterdir()) == ["ca.pem", "crl.pem", "node.key",
                                                               "node.pem"]
    for key in ("pki/ca.key", "alice/user.key", "n1/node.key"):
        assert stat.S_IMODE((pki / key).stat().st_mode) == 0o600, key
    done = subprocess.run(["openssl", "verify", "-CAfile", pki / "pki" / "ca.pem",
                           pki / "alice" / "user.pem", pki / "n1" / "node.pem"],
                          capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr


def test_nothing_is_replaced_without_force(pki):
    before = (pki / "pki" / "ca.pem").read_bytes()
    refuses(USAGE, "--force", "pki", "init", "prod", cwd=pki)
    refuses(USAGE, "--force", "pki", "issue", "user", "alice", cwd=pki)
    assert (pki / "pki" / "ca.pem").read_bytes() == before


def test_revoking(pki, tmp_path):
    done = ctl("pki", "issue", "user", "bob", "--out", tmp_path / "bob", cwd=pki)
    assert done.returncode == DONE, done.stderr
    serial = done.stdout.split("serial ")[1].split(",")[0]
    old = (pki / "pki" / "crl.pem").read_bytes()
    done = ctl("pki", "revoke", tmp_path / "bob" / "user.pem", cwd=pki)
    assert done.returncode == DONE, done.stderr
    assert (pki / "pki" / "crl.pem").read_bytes() != old
    refuses(USAGE, "revoked already", "pki", "revoke", serial, cwd=pki)


@pytest.mark.parametrize("arguments, words", [
    (["issue", "user", "x", "--role", "king"], "role 'king' must be viewer, operator or admin"),
    (["issue", "user", "../x"], "x"),
    (["issue", "node", "N1"], "N1"),
    (["issue", "node", "n9", "--name", "not a name"], "neither a DNS name nor an address"),
    (["issue", "node", "n9", "--days", "36501"], "--days"),
    (["issue", "node", "n9", "--days", "0"], "--days"),
    (["issue", "node", "n9", "--days", "36500"], "CA"),
    (["issue", "node", "n9", *["--name", "a.example.com"] * 17], "at most 16 names"),
    (["init", "Not A Name"], "Not A Name"),
    (["revoke", "zz"], "zz"),
    (["issue", "user", "x", "--directory", "nowhere"], "noctuactl pki init"),
])
def test_pki_that_is_refused(pki, arguments, words):
    done = ctl("pki", *arguments, "--out", "refused", cwd=pki)
    assert done.returncode in (INTERNAL, USAGE), done
    assert words in done.stderr, done
    assert not (pki / "refused").exists() or not list((pki / "refused").iterdir())
