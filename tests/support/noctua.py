"""A group of real noctuad processes and the test world beside it, for scenario tests and the demo.

Nothing here waits for a fixed time: every wait is for a condition, with a bound. Every process that
is started is ended, by pid, whatever happens to the test.
"""

import contextlib
import http.client
import itertools
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import invariants
from invariants import check_ledger  # noqa: F401

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("NOCTUA_BUILD", ROOT / "build" / "debug"))
NOCTUAD = BUILD / "coordinator" / "main" / "noctuad"
NOCTUAD_TEST_POINTS = BUILD / "coordinator" / "main" / "noctuad-test-points"
NOCTUAD_NEXT = BUILD / "coordinator" / "main" / "noctuad-next"
NOCTUACTL = BUILD / "client" / "noctuactl"
WORLD = BUILD / "tests" / "world" / "noctua-world"

REGIONS = ["us-east-1", "us-west-2", "eu-west-1"]
ZONE = "Z1234567890ABC"
DOMAIN = "nocturnal.com"
ACCESS_KEY = "AKIDEXAMPLE"
SECRET_KEY = "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY"
ADDRESSES = {"us-east-1": "192.0.2.1", "us-west-2": "192.0.2.2"}

# Sanitizers make everything slower; waits are bounds, not expectations.
PATIENCE = float(os.environ.get("NOCTUA_TEST_PATIENCE", "1"))


class TimedOut(AssertionError):
    pass


def wait_until(condition, seconds, what):
    """The first true value of condition(), or TimedOut after so many seconds."""
    end = time.monotonic() + seconds * PATIENCE
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= end:
            raise TimedOut(f"not within {seconds * PATIENCE:.0f} s: {what}")
        time.sleep(0.02)


def lowest_ephemeral_port():
    try:
        return int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    except (OSError, ValueError):
        return 32768


# Below what the kernel gives to others: between our choice and the daemon's bind() nobody gets it.
PORTS = itertools.count(random.randrange(10240, lowest_ephemeral_port() - 4096))


def free_ports(count):
    ports = []
    while len(ports) < count:
        port = 10240 + next(PORTS) % (lowest_ephemeral_port() - 10240)
        with socket.socket() as s, contextlib.suppress(OSError):
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            s.bind(("127.0.0.1", port))
            ports.append(port)
    return ports


def http_request(address, method, path, body=None, timeout=5):
    host, port = address.rsplit(":", 1)
    connection = http.client.HTTPConnection(host, int(port), timeout=timeout)
    try:
        headers = {"Content-Type": "application/json"} if body is not None else {}
        data = None if body is None else json.dumps(body)
        connection.request(method, path, body=data, headers=headers)
        reply = connection.getresponse()
        return reply.status, reply.read().decode(), dict(reply.getheaders())
    finally:
        connection.close()


class Process:
    def __init__(self, name, arguments, log, environment=None):
        self.name = name
        self.arguments = [str(a) for a in arguments]
        self.log = Path(log)
        self.environment = {**os.environ, **(environment or {})}
        self.popen = None

    def start(self):
        with open(self.log, "ab") as log:
            self.popen = subprocess.Popen(
                self.arguments,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self.environment,
            )

    @property
    def pid(self):
        return self.popen.pid

    def running(self):
        return self.popen is not None and self.popen.poll() is None

    def signal(self, number):
        if self.running():
            os.kill(self.pid, number)

    def wait(self, seconds=10):
        return self.popen.wait(seconds * PATIENCE)

    def kill(self):
        """kill -9, and gone when this returns."""
        if self.popen is not None:
            self.signal(signal.SIGKILL)
            self.popen.wait()

    def terminate(self, seconds=10):
        if not self.running():
            return self.popen.returncode if self.popen else None
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGTERM)
        try:
            return self.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{self.name} didn't end after SIGTERM; see {self.log}") from None

    def text(self):
        return self.log.read_text(errors="replace") if self.log.exists() else ""


class World:
    """noctua-world: regions with services, Route 53, DNS, and its ledger."""

    def __init__(self, directory, regions=REGIONS[:2], arguments=()):
        self.directory = Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.records = self.directory / "records.json"
        self.records.write_text(
            json.dumps(
                {
                    ZONE: [
                        {
                            "Name": f"{DOMAIN}.",
                            "Type": "A",
                            "TTL": 60,
                            "Values": [ADDRESSES["us-east-1"]],
                        }
                    ]
                }
            )
        )
        options = [WORLD, "--directory", self.directory, "--zone", f"{ZONE}:{DOMAIN}"]
        options += ["--access-key", f"{ACCESS_KEY}:{SECRET_KEY}", "--records", self.records]
        for region in regions:
            options += ["--region", region]
        self.process = Process("world", [*options, *arguments], self.directory / "world.log")
        self.addresses = None

    def start(self):
        self.process.start()
        path = self.directory / "world.json"

        def ready():
            if not self.process.running():
                raise AssertionError(f"the world didn't start: {self.process.text()}")
            return path.exists() and json.loads(path.read_text())

        self.addresses = wait_until(ready, 10, "the world is ready")
        return self

    def control(self, method, path, body=None):
        status, text, _ = http_request(self.addresses["control"], method, path, body)
        if status >= 300:
            raise AssertionError(f"world: {method} {path} {body}: {status} {text}")
        return json.loads(text) if text.strip() else None

    def region(self, region, mode):
        """up, refuse, hang, reset, slow:MS, status:CODE"""
        return self.control("POST", f"/regions/{region}", {"mode": mode})

    def fault(self, **fault):
        return self.control("POST", "/faults", fault)["id"]

    def release(self, fault_id):
        return self.control("POST", f"/faults/{fault_id}/release")

    def remove_fault(self, fault_id):
        return self.control("DELETE", f"/faults/{fault_id}")

    def faults(self):
        return self.control("GET", "/faults")["faults"]

    def edit(self, body):
        return self.control("POST", f"/zones/{ZONE}/edit", body)

    def ledger(self):
        path = self.directory / "ledger.jsonl"
        if not path.exists():
            return []
        return [json.loads(line) for line in path.read_text().splitlines() if line.strip()]

    def effects(self):
        """Effective changes that came through the API, in order."""
        return [e for e in self.ledger() if e["kind"] == "change" and e["effective"]]

    def dig(self, name=DOMAIN, kind="A"):
        host, port = self.addresses["dns"].rsplit(":", 1)
        command = ["dig", f"@{host}", "-p", port, "+short", "+tries=2", "+time=2", name, kind]
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
        return done.stdout.split()

    def service_url(self, region):
        return f"http://{self.addresses['regions'][region]['http']}/health"

    def aws_environment(self):
        endpoint = f"http://{self.addresses['route53']}"
        return {
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_ENDPOINT_URL_ROUTE_53": endpoint,
            "AWS_ENDPOINT_URL_STS": f"http://{self.addresses['sts']}",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_REGION": "us-east-1",
        }


class Node:
    def __init__(self, group, name, region, ports):
        self.group = group
        self.name = name
        self.region = region
        self.directory = group.directory / name
        self.peer_port, self.api_port, self.http_port = ports
        self.process = None
        self.program = NOCTUAD
        self.environment = {}
        self.wrapper = ()
        self.stopped = False
        self.cut_off = False  # from the others, by links.Network
        self.clock_is_true = True

    @property
    def api(self):
        return f"127.0.0.1:{self.api_port}"

    @property
    def http(self):
        return f"127.0.0.1:{self.http_port}"

    @property
    def config(self):
        return self.directory / "noctuad.yaml"

    def write_config(self, peers=None, **changes):
        addresses = peers or {
            n.name: f"127.0.0.1:{n.peer_port}" for n in self.group.nodes.values()
        }
        peers = "\n".join(f"  {name}: {address}" for name, address in addresses.items())
        settings = {"heartbeat": "50ms", "election": "500ms", "threshold": 1024,
                    "inspect": "60s", **changes}
        self.config.write_text(
            f"""cluster: {self.group.cluster}
node: {self.name}
region: {self.region}
peers:
{peers}
data: {self.directory}/data
tls: {self.directory}/tls
secrets: {self.directory}/secrets
listen:
  peer: 127.0.0.1:{self.peer_port}
  api: 127.0.0.1:{self.api_port}
  http: 127.0.0.1:{self.http_port}
raft:
  heartbeat: {settings["heartbeat"]}
  election: {settings["election"]}
  snapshot_threshold: {settings["threshold"]}
inspect: {{every: {settings["inspect"]}}}
log: {{level: info, format: json}}
"""
        )

    def daemon(self, *arguments):
        command = [str(self.program), "--config", str(self.config), *arguments]
        return subprocess.run(
            command, capture_output=True, text=True, timeout=30 * PATIENCE, check=False
        )

    def start(self, **environment):
        """Runs `program` under `wrapper`, which must replace itself by it (exec)."""
        self.stopped = False
        self.process = Process(
            self.name,
            [*self.wrapper, self.program, "--config", self.config],
            self.directory / "noctuad.log",
            {**self.group.environment, **self.environment, **environment},
        )
        self.process.start()
        return self

    def running(self):
        return self.process is not None and self.process.running()

    def kill(self):
        self.process.kill()
        self.stopped = False

    def stop(self):
        """SIGSTOP: it holds its sockets and does nothing."""
        self.stopped = True
        self.process.signal(signal.SIGSTOP)

    def resume(self):
        self.stopped = False
        self.process.signal(signal.SIGCONT)

    def terminate(self):
        self.stopped = False
        return self.process.terminate()

    def is_leader(self):
        with contextlib.suppress(OSError, http.client.HTTPException):
            return self.get("/leader", timeout=1)[0] == 200
        return False

    def get(self, path, method="GET", timeout=5):
        return http_request(self.http, method, path, timeout=timeout)

    def status(self):
        with contextlib.suppress(OSError, http.client.HTTPException, ValueError):
            status, text, _ = self.get("/status", timeout=2)
            return json.loads(text) if status == 200 else None
        return None

    def events(self):
        """This process's log lines, parsed; lines that aren't JSON (sanitizers) are left out."""
        lines = []
        for line in self.process.text().splitlines():
            with contextlib.suppress(ValueError):
                lines.append(json.loads(line))
        return lines


class Group:
    """Nodes n1, n2, ... one a region, in the order of `regions`."""

    def __init__(self, directory, world, regions=REGIONS, cluster="test"):
        self.directory = Path(directory)
        self.world = world
        self.cluster = cluster
        self.environment = world.aws_environment() if world else {}
        self.nodes = {}
        ports = free_ports(3 * len(regions))
        for i, region in enumerate(regions):
            name = f"n{i + 1}"
            self.nodes[name] = Node(self, name, region, ports[3 * i : 3 * i + 3])

    # --- making it

    def pki(self, *arguments, wrapper=()):
        command = [*wrapper, str(NOCTUACTL), "pki", *arguments, "--directory",
                   str(self.directory / "pki")]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def issue(self, *wrapper):
        """The authority, and everybody's certificate; `wrapper`: under which it runs."""
        self.pki("init", self.cluster, wrapper=wrapper)
        for node in self.nodes.values():
            tls = str(node.directory / "tls")
            self.pki("issue", "node", node.name, "--out", tls, wrapper=wrapper)
        out = str(self.user("alice"))
        self.pki("issue", "user", "alice", "--role", "admin", "--out", out, wrapper=wrapper)

    def issue_again(self, *wrapper):
        for old in [self.directory / "pki", self.user("alice")]:
            shutil.rmtree(old)
        for node in self.nodes.values():
            shutil.rmtree(node.directory / "tls")
        self.issue(*wrapper)

    def make(self, **config):
        (self.directory / "users").mkdir(parents=True, exist_ok=True)
        for node in self.nodes.values():
            (node.directory / "secrets").mkdir(parents=True)
            node.write_config(**config)
        self.issue()
        for node in self.nodes.values():
            done = node.daemon("bootstrap")
            assert done.returncode == 0, done.stderr
        return self

    def user(self, name):
        return self.directory / "users" / name

    def start(self):
        for node in self.nodes.values():
            node.start()
        self.wait_for_leader()
        for node in self.nodes.values():
            wait_until(lambda n=node: n.status() or not n.running(), 20, f"{node.name} answers")
            assert node.running(), f"{node.name} ended: {node.process.text()[-2000:]}"
        return self

    def end(self):
        """Ends every process; returns what the sanitizers had to say, if anything."""
        for node in self.nodes.values():
            if node.running():
                node.process.signal(signal.SIGCONT)
                node.process.signal(signal.SIGTERM)
                node.process.signal(signal.SIGINT)  # at once: nobody is left to lead
        complaints = []
        for node in self.nodes.values():
            if node.process is None:
                continue
            try:
                node.process.wait(15)
            except subprocess.TimeoutExpired:
                complaints.append(f"{node.name} didn't end after SIGTERM")
                node.kill()
            text = node.process.text()
            for mark in ("runtime error:", "ERROR: AddressSanitizer", "WARNING: ThreadSanitizer",
                         "ERROR: LeakSanitizer", "Assertion"):
                if mark in text:
                    at = text.index(mark)
                    complaints.append(f"{node.name}: {text[max(0, at - 200):at + 3000]}")
        return complaints

    # --- asking it

    def ctl(self, *arguments, user="alice", check=True, nodes=None, input=None, timeout=60,
            wrapper=()):
        names = nodes or list(self.nodes)
        command = [
            *wrapper,
            str(NOCTUACTL),
            "--endpoints",
            ",".join(self.nodes[n].api for n in names),
            "--tls",
            str(self.user(user)),
            *[str(a) for a in arguments],
        ]
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=timeout * PATIENCE,
            check=False,
            input=input if input is not None else "",
        )
        if check:
            assert done.returncode == 0, (arguments, done.returncode, done.stdout, done.stderr)
        return done

    def ask(self, *arguments, **options):
        return json.loads(self.ctl(*arguments, "-o", "json", **options).stdout)

    def leader(self):
        for node in self.nodes.values():
            if node.running() and not node.stopped and not node.cut_off and node.is_leader():
                return node
        return None

    def wait_for_leader(self, seconds=20, besides=()):
        def found():
            leader = self.leader()
            return leader if leader and leader.name not in besides else None

        return wait_until(found, seconds, "a leader")

    def wait_to_lead(self, wanted, seconds=60):
        """Kills leaders, and starts them again, until the wanted node leads."""

        def leads():
            leader = self.leader()
            if leader is None or leader is wanted:
                return leader
            leader.kill()
            leader.start()
            return None

        return wait_until(leads, seconds, f"{wanted.name} leads")

    def followers(self):
        leader = self.wait_for_leader()
        return [n for n in self.nodes.values() if n is not leader]

    def revive(self):
        """Everything that a test did to the processes is over: all run, and one leads."""
        for node in self.nodes.values():
            if node.stopped:
                node.resume()
            if not node.running():
                node.start()
        self.wait_for_leader()

    # --- boundaries (executor/test_point.h)

    def with_test_points(self):
        self.environment["NOCTUA_TEST_POINT"] = str(self.directory / "test-point")
        for node in self.nodes.values():
            node.program = NOCTUAD_TEST_POINTS
        return self

    def arm(self, point, action="kill", nth=1):
        """Whoever gets there first, with the N-th time, kills or stops itself."""
        path = self.directory / "test-point"
        self.lost_before = {n.name for n in self.nodes.values() if n.stopped or not n.running()}
        path.with_suffix(".new").write_text(f"{point} {action} {nth}\n")
        path.with_suffix(".new").rename(path)

    def wait_for_victim(self, seconds=30):
        """Whom the armed test point has killed, or stopped."""

        def hit(node):
            if not node.running():
                return True
            state = Path(f"/proc/{node.process.pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
            node.stopped = state == "T"
            return node.stopped

        def victim():
            fresh = (n for n in self.nodes.values() if n.name not in self.lost_before)
            return next((n for n in fresh if hit(n)), None)

        return wait_until(victim, seconds, "a node gets to the test point")

    def service(self, name="nocturnal"):
        """The service's line of /status on any node that answers, the leader first."""
        leader = self.leader()
        order = ([leader] if leader else []) + list(self.nodes.values())
        for node in order:
            status = node.status() if node.running() and not node.stopped else None
            for service in (status or {}).get("services", []):
                if service["name"] == name:
                    return service
        return None

    def detail(self, name="nocturnal", **options):
        return self.ask("status", name, **options)

    def execution(self, name="nocturnal", **options):
        return self.detail(name, **options).get("execution")

    def wait_for_active(self, region, seconds=30, name="nocturnal"):
        return wait_until(
            lambda: (self.service(name) or {}).get("active") == region, seconds,
            f"{name} active in {region}: {self.service(name)}",
        )

    def wait_for_end(self, seconds=40, name="nocturnal", epoch=None, nodes=None):
        """The last execution, once it has ended."""

        def ended():
            done = self.ctl("status", name, "-o", "json", check=False, nodes=nodes)
            if done.returncode != 0:
                return None
            execution = json.loads(done.stdout).get("execution")
            right = execution and (epoch is None or execution["epoch"] == epoch)
            return execution if right and execution["phase"] == "ended" else None

        return wait_until(ended, seconds, f"the end of a move of {name}")

    # --- the usual service

    def spec_text(self, mode="auto", confirm="1s", cooldown="0s", max_moves="16/1h", extra="",
                  urls=None):
        urls = "\n".join(
            f"          {region}: {(urls or {}).get(region) or self.world.service_url(region)}"
            for region in self.world.addresses["regions"]
            if region in ADDRESSES
        )
        regions = "\n".join(
            f"  {region}: {'{}' if region in ADDRESSES else '{role: witness}'}"
            for region in dict.fromkeys(n.region for n in self.nodes.values())
        )
        values = "\n".join(f"            {r}: [{a}]" for r, a in ADDRESSES.items())
        return f"""version: 1
regions:
{regions}
services:
  nocturnal:
    owner: platform
    mode: {mode}
    home: us-east-1
    targets: [us-west-2]
    checks:
      api:
        url:
{urls}
        expect: 200
        interval: 200ms
        timeout: 150ms
        fall: 3
        rise: 2
    dns:
      zone: {ZONE}
      records:
        {DOMAIN}:
          type: A
          values:
{values}
    policy:
      confirm: {confirm}
      cooldown: {cooldown}
      max_moves: {max_moves}
{extra}"""

    def apply_spec(self, text=None, **settings):
        path = self.directory / "spec.yaml"
        path.write_text(text or self.spec_text(**settings))
        return self.ctl("spec", "apply", path)

    def adopt(self, name="nocturnal"):
        done = self.ctl("adopt", name, "--yes", "--wait", "30")
        wait_until(lambda: (self.service(name) or {}).get("active"), 10, "adopted")
        return done

    def votes(self, region, name="nocturnal"):
        """What each node says of the region, by the committed opinions; {} without an answer."""
        done = self.ctl("status", name, "-o", "json", check=False)
        if done.returncode != 0:
            return {}
        rows = json.loads(done.stdout)["regions"]
        return next((r for r in rows if r["name"] == region), {})

    def wait_for_health(self, seconds=20, name="nocturnal", regions=("us-east-1", "us-west-2")):
        def healthy():
            return all(self.votes(r, name).get("verdict") == "up" for r in regions)

        return wait_until(healthy, seconds, f"{regions} seen up")

    # --- what must hold

    def check(self):
        invariants.check_group(self, self.world, wait_until)

    def events(self, *kinds):
        """Committed events of these kinds, oldest first."""
        committed = invariants.committed_events(self.nodes.values())
        return [event for event, _ in committed if event["kind"] in kinds]
