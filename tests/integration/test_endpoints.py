"""What pollers see: independent programs against the real daemon."""

import contextlib
import re
import resource
import socket
import subprocess
import time
from pathlib import Path

import noctua

ROOT = Path(__file__).resolve().parents[2]
DEAD = "us-east-1"
NEW = "us-west-2"


def test_paths(group):
    node = group.leader()
    assert node.get("/livez")[0] == 200
    noctua.wait_until(lambda: node.get("/readyz")[0] == 200, 10, "ready")
    assert node.get("/leader")[0] == 200
    assert node.get(f"/services/nocturnal/regions/{DEAD}/active")[0] == 200
    assert node.get(f"/services/nocturnal/regions/{NEW}/active")[0] == 503
    assert node.get("/services/nocturnal/primary")[:2] == (200, f"{DEAD}\n") or node.get(
        "/services/nocturnal/primary")[1].strip() == DEAD
    assert node.get(f"/switch/nocturnal/{DEAD}")[1].strip() == f"KEEP-{DEAD}"
    assert node.get(f"/switch/nocturnal/{NEW}")[1].strip() == f"EVICT-{NEW}"
    assert node.get("/services/nothing/primary")[0] == 404
    assert node.get("/livez", "HEAD")[1] == ""
    assert node.get("/livez", "OPTIONS")[0] in (200, 204)
    assert node.get("/livez", "POST")[0] == 405


def test_metrics_pass_promtool(group):
    text = group.leader().get("/metrics")[1]
    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True,
                          text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "noctua_" in text


def test_haproxy_follows_the_active_region(group, world, tmp_path):
    (front,) = noctua.free_ports(1)
    node = group.nodes["n2"]
    config = ROOT / "deploy" / "examples" / "haproxy.cfg"
    proxy = noctua.Process(
        "haproxy", ["haproxy", "-db", "-f", config], tmp_path / "haproxy.log",
        {"FRONT": f"127.0.0.1:{front}", "EAST": world.addresses["regions"][DEAD]["http"],
         "WEST": world.addresses["regions"][NEW]["http"], "NOCTUA_PORT": str(node.http_port)},
    )
    proxy.start()

    def served_by(region):
        def check():
            try:
                return region in noctua.http_request(f"127.0.0.1:{front}", "GET", "/")[1]
            except OSError:
                return False

        return check

    try:
        noctua.wait_until(served_by(DEAD), 20, f"HAProxy sends to {DEAD}: {proxy.text()}")
        group.ctl("switchover", "nocturnal", "--to", NEW, "--yes", "--wait", "30")
        noctua.wait_until(served_by(NEW), 20, "HAProxy sends to the new region")
    finally:
        proxy.terminate()


def nginx_config(group, world, node, directory, front):
    """The example, with the test's addresses and directories."""
    text = (ROOT / "deploy" / "examples" / "nginx.conf").read_text()
    regions = world.addresses["regions"]
    for old, new in {
        "127.0.0.1:7602": node.http,
        "east.internal:80": regions[DEAD]["http"],
        "west.internal:80": regions[NEW]["http"],
        "listen 80;": f"listen 127.0.0.1:{front};",
        "/var/cache/nginx/noctua": str(directory / "cache"),
        "events {}": f"""user root;
pid {directory}/nginx.pid;
error_log stderr warn;
events {{}}""",
    }.items():
        assert old in text, f"the example has no {old}"
        text = text.replace(old, new)
    config = directory / "nginx.conf"
    config.write_text(text)
    return config


def test_nginx_follows_the_active_region(group, world, tmp_path):
    (front,) = noctua.free_ports(1)
    node = group.nodes["n2"]
    config = nginx_config(group, world, node, tmp_path, front)
    nginx = noctua.Process("nginx", ["nginx", "-p", tmp_path, "-e", "stderr", "-c", config,
                                     "-g", "daemon off;"], tmp_path / "nginx.log")
    nginx.start()

    def served_by(region):
        def check():
            try:
                status, text, _ = noctua.http_request(f"127.0.0.1:{front}", "GET", "/")
            except OSError:
                return False
            return status == 200 and region in text

        return check

    try:
        noctua.wait_until(served_by(DEAD), 20, f"nginx sends to {DEAD}")
        group.ctl("switchover", "nocturnal", "--to", NEW, "--yes", "--wait", "30")
        noctua.wait_until(served_by(NEW), 20, f"nginx sends to the new region: {nginx.text()}")
        # The node that it asks is gone: the last answer goes on.
        node.kill()
        until = time.monotonic() + 3
        while time.monotonic() < until:
            assert served_by(NEW)(), nginx.text()
    finally:
        nginx.terminate()


IDLE = 10000


def open_idle(node):
    """Connections that say nothing, as many as the machine lets us have at once."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, IDLE + 1000), hard))
    idle = []
    try:
        for _ in range(IDLE):
            idle.append(socket.create_connection(("127.0.0.1", node.http_port), timeout=10))
        yield idle
    finally:
        for connection in idle:
            connection.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_ten_thousand_idle_connections(group):
    """The oldest go; who asks is answered; the group doesn't notice; memory stays bounded."""
    node = group.leader()
    before = node.status()
    slow = socket.create_connection(("127.0.0.1", node.http_port), timeout=10)
    slow.sendall(b"GET /livez HTTP/1.1\r\nHost:")  # and never ends
    with contextlib.contextmanager(open_idle)(node) as idle:
        assert len(idle) == IDLE
        for _ in range(50):
            assert node.get("/livez", timeout=5)[0] == 200
        text = node.get("/metrics")[1]
        open_now = re.search(r'noctua_http_connections\{listener="http"\} (\d+)', text)
        assert int(open_now.group(1)) <= 512
        after = node.status()
    assert (after["leader"], after["term"]) == (before["leader"], before["term"])
    slow.close()
    resident = int(re.search(r"VmRSS:\s+(\d+) kB",
                             Path(f"/proc/{node.process.pid}/status").read_text()).group(1))
    assert resident < 100 * 1024 * noctua.PATIENCE


def test_pipelined_requests_are_answered_in_order(group):
    node = group.leader()
    paths = ["/livez", f"/switch/nocturnal/{DEAD}", "/nothing", f"/switch/nocturnal/{NEW}"]
    with socket.create_connection(("127.0.0.1", node.http_port), timeout=10) as connection:
        connection.sendall("".join(
            f"GET {p} HTTP/1.1\r\nHost: n\r\n{'Connection: close' if p == paths[-1] else 'X: y'}"
            "\r\n\r\n" for p in paths).encode())
        text = b""
        while piece := connection.recv(65536):
            text += piece
    found = re.findall(r"HTTP/1.1 (\d+)|(KEEP|EVICT)-", text.decode())
    assert found == [("200", ""), ("200", ""), ("", "KEEP"), ("404", ""), ("200", ""), ("", "EVICT")]
