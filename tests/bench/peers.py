"""etcd beside Noctua: three members with mutual TLS on loopback, on the same disk."""

import contextlib
import json
import signal
import subprocess
from pathlib import Path

import noctua

ETCD = "/usr/bin/etcd"
ETCDCTL = "/usr/bin/etcdctl"


def openssl(*arguments):
    done = subprocess.run(["openssl", *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def make_certificates(directory):
    """ca.pem, and one certificate for members and clients alike, as P-256 (as Noctua's own)."""
    directory.mkdir(parents=True)
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    openssl("req", "-x509", *curve, "-days", "7", "-subj", "/CN=bench", "-keyout",
            directory / "ca.key", "-out", directory / "ca.pem")
    openssl("req", *curve, "-subj", "/CN=bench member", "-keyout", directory / "user.key", "-out",
            directory / "user.csr")
    names = directory / "names"
    names.write_text("subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth,clientAuth\n")
    openssl("x509", "-req", "-in", directory / "user.csr", "-CA", directory / "ca.pem", "-CAkey",
            directory / "ca.key", "-CAcreateserial", "-days", "7", "-extfile", names, "-out",
            directory / "user.pem")


class Etcd:
    def __init__(self, directory, heartbeat_ms=100, election_ms=1000, size=3):
        self.directory = Path(directory)
        self.tls = self.directory / "tls"
        make_certificates(self.tls)
        ports = noctua.free_ports(2 * size)
        self.members = {f"e{i + 1}": ports[2 * i : 2 * i + 2] for i in range(size)}
        cluster = ",".join(f"{n}=https://127.0.0.1:{p[0]}" for n, p in self.members.items())
        self.processes = {}
        for name, (peer, client) in self.members.items():
            options = [
                ETCD, "--name", name, "--data-dir", self.directory / name,
                "--listen-peer-urls", f"https://127.0.0.1:{peer}",
                "--initial-advertise-peer-urls", f"https://127.0.0.1:{peer}",
                "--listen-client-urls", f"https://127.0.0.1:{client}",
                "--advertise-client-urls", f"https://127.0.0.1:{client}",
                "--initial-cluster", cluster, "--initial-cluster-state", "new",
                "--heartbeat-interval", heartbeat_ms, "--election-timeout", election_ms,
                "--log-level", "error", "--logger", "zap",
            ]
            for kind in ("", "peer-"):
                options += [f"--{kind}client-cert-auth", f"--{kind}trusted-ca-file",
                            self.tls / "ca.pem", f"--{kind}cert-file", self.tls / "user.pem",
                            f"--{kind}key-file", self.tls / "user.key"]
            self.processes[name] = noctua.Process(name, options, self.directory / f"{name}.log")

    def start(self):
        for name in self.members:
            self.processes[name].start()
        noctua.wait_until(self.leader, 30, "etcd has a leader")
        return self

    def endpoint(self, name):
        return f"127.0.0.1:{self.members[name][1]}"

    def endpoints(self):
        return [self.endpoint(n) for n in self.members if self.processes[n].running()]

    def leader(self):
        """The name of the member that leads, once all that run agree on it; None before."""
        command = [ETCDCTL, "--endpoints", ",".join(self.endpoints()), "--cacert",
                   self.tls / "ca.pem", "--cert", self.tls / "user.pem", "--key",
                   self.tls / "user.key", "endpoint", "status", "-w", "json"]
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=30,
                              env={"ETCDCTL_API": "3"}, check=False)
        with contextlib.suppress(ValueError):
            rows = json.loads(done.stdout)
            heads = [r["Status"]["header"]["member_id"] for r in rows]
            leaders = {r["Status"].get("leader", 0) for r in rows}
            if len(rows) == len(self.endpoints()) and len(leaders) == 1 and leaders <= set(heads):
                place = heads.index(leaders.pop())
                at = rows[place]["Endpoint"]
                return next(n for n in self.members if self.endpoint(n) == at)
        return None

    def kill(self, name):
        self.processes[name].kill()

    def restart(self, name):
        self.processes[name].start()

    def end(self):
        for process in self.processes.values():
            process.signal(signal.SIGTERM)
        for process in self.processes.values():
            if process.popen is not None:
                process.terminate()
