"""Replica sets on loopback, for tests: of real MongoDB servers, and of the test world.

The servers: NOCTUA_MONGOD=path[:path], else ../shared/peers/mongod-*.xz beside the repository,
unpacked once to build/mongod. Without any, the tests that need one are skipped, with the reason.
"""

import contextlib
import fcntl
import lzma
import os
import shutil
import signal
from pathlib import Path

import noctua
import pytest

try:
    import pymongo
    import pymongo.errors
except ImportError:
    pymongo = None

PACKED = noctua.ROOT.parent / "shared" / "peers"
UNPACKED = noctua.ROOT / "build" / "mongod"
SET = "rs0"


def unpack(packed):
    UNPACKED.mkdir(parents=True, exist_ok=True)
    program = UNPACKED / packed.name.removesuffix(".xz")
    with open(UNPACKED / "lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not program.exists():
            part = program.with_suffix(".part")
            with lzma.open(packed) as source, open(part, "wb") as target:
                shutil.copyfileobj(source, target)
            part.chmod(0o755)
            part.rename(program)
    return program


def programs():
    """By version, "3.6" first."""
    named = os.environ.get("NOCTUA_MONGOD")
    found = [Path(p) for p in named.split(":")] if named else sorted(PACKED.glob("mongod-*.xz"))
    by_version = {}
    for path in found:
        digits = path.name.removeprefix("mongod-").split(".")
        by_version[".".join(digits[:2]) if len(digits) > 1 else path.name] = path
    return by_version


VERSIONS = list(programs()) or ["none"]
# What the test world plays is judged by the same scripts.
ALL = ["world-3.6", "world-4.4", *VERSIONS]


def program(version):
    if pymongo is None:
        pytest.skip("no pymongo (Debian: python3-pymongo)")
    if version == "none":
        pytest.skip("no mongod: set NOCTUA_MONGOD=path[:path]")
    path = programs()[version]
    return unpack(path) if path.suffix == ".xz" else path


class Member:
    def __init__(self, mongod, directory, port, arguments, connection):
        directory.mkdir(parents=True)
        self.directory = directory
        self.connection = connection
        self.port = port
        self.host = f"127.0.0.1:{port}"
        options = ["--replSet", SET, "--port", port, "--bind_ip", "127.0.0.1", "--nounixsocket",
                   "--dbpath", directory, "--wiredTigerCacheSizeGB", "0.25", "--oplogSize", "16"]
        # In a session of its own: it ends at SIGHUP.
        self.process = noctua.Process(f"mongod {port}", ["setsid", mongod, *options, *arguments],
                                      directory.parent / f"{port}.log")

    def start(self):
        self.process.start()

    def client(self, **login):
        return pymongo.MongoClient("127.0.0.1", self.port, directConnection=True,
                                   serverSelectionTimeoutMS=5000, **self.connection, **login)

    def command(self, *command, login=None, **more):
        with self.client(**(login or {})) as client:
            return client.admin.command(*command, **more)

    def says_writable(self, login=None):
        try:
            return self.command("isMaster", login=login)["ismaster"]
        except pymongo.errors.PyMongoError:
            return False

    def kill(self):
        self.process.kill()

    def stop(self):
        self.process.signal(signal.SIGSTOP)

    def resume(self):
        self.process.signal(signal.SIGCONT)

    def lag(self, behind):
        """It answers, and applies nothing any more, until `behind` is False."""
        with self.client() as client:
            if behind:
                client.admin.command("fsync", lock=True)
            else:
                client.admin.command("fsyncUnlock")

    def end(self):
        """Its log is kept, its data isn't: 300 MB of journal each."""
        if self.process.popen is not None:
            self.process.kill()
        shutil.rmtree(self.directory, ignore_errors=True)


class WorldMember(Member):
    """A process of the test world's set (tests/world/README.md)."""

    def __init__(self, world, number):
        self.world = world
        self.number = number
        self.host = world.addresses["mongo"]["members"][number]
        self.port = int(self.host.split(":")[1])
        self.connection = {}

    def do(self, **change):
        self.world.control("POST", f"/mongo/{self.number}", change)

    def start(self):
        self.do(fate="start")

    def kill(self):
        self.do(fate="kill")

    def stop(self):
        self.do(fate="stop")

    def resume(self):
        self.do(fate="continue")

    def lag(self, behind):
        self.do(apply_delay_ms=-1 if behind else 0)

    def end(self):
        pass


class ReplicaSet:
    """Members tagged with these regions; the first has the highest priority."""

    def __init__(self, directory, version, regions, key=None, election_ms=2000, arguments=(),
                 connection=None, priorities=None):
        self.directory = Path(directory)
        self.login = None
        arguments = list(arguments)
        self.directory.mkdir(parents=True)
        if key is not None:
            file = self.directory / "key"
            file.write_text(key)
            file.chmod(0o600)
            arguments += ["--keyFile", file]
        self.regions = regions
        self.election_ms = election_ms
        self.priorities = priorities or [2] + [1] * (len(regions) - 1)
        self.world = None
        if version.startswith("world-"):
            release = version.removeprefix("world-")
            self.world = noctua.World(self.directory / "world", arguments=(
                "--mongo", f"{SET}:{release}:{len(regions)}", "--mongo-fresh")).start()
            self.members = [WorldMember(self.world, i) for i in range(len(regions))]
            return
        mongod = program(version)
        ports = noctua.free_ports(len(regions))
        self.members = [Member(mongod, self.directory / str(port), port, arguments, connection or {})
                        for port in ports]

    @property
    def uri(self):
        return f"mongodb://{','.join(m.host for m in self.members)}/?replicaSet={SET}"

    def config(self):
        return {"_id": SET, "settings": {"electionTimeoutMillis": self.election_ms},
                "members": [{"_id": i, "host": m.host, "tags": {"region": self.regions[i]},
                             "priority": self.priorities[i]}
                            for i, m in enumerate(self.members)]}

    def start(self):
        for member in self.members if self.world is None else []:
            member.start()

        def initiated():
            try:
                self.members[0].command("replSetInitiate", self.config())
                return True
            except pymongo.errors.OperationFailure as error:
                return error.code == 23  # it was taken, and the answer lost
            except pymongo.errors.PyMongoError:
                return False

        noctua.wait_until(initiated, 30, "the set is initiated")
        noctua.wait_until(self.members[0].says_writable, 40, "a primary")
        return self

    def primary(self, besides=()):
        return next((m for m in self.members
                     if m not in besides and m.says_writable(self.login)), None)

    def add_user(self, name, password, role, login=None):
        """The first one, by the localhost exception, administers; the others come from it."""
        def added():
            try:
                self.members[0].command("createUser", name, pwd=password, roles=[role], login=login)
                return True
            except pymongo.errors.OperationFailure as error:
                assert error.code in (211, 11000, 51003), error  # its keys aren't ready yet; known
                return error.code != 211

        noctua.wait_until(added, 20, f"user {name}")

    def end(self):
        for member in self.members:
            member.end()
        if self.world is not None:
            self.world.process.terminate()


@contextlib.contextmanager
def running(directory, version, regions, **options):
    replica_set = ReplicaSet(directory, version, regions, **options)
    try:
        yield replica_set.start()
    finally:
        replica_set.end()
