"""The world's replica set, judged by a driver that knows nothing of it (pymongo).

What a driver sees of a MongoDB must be there: the primary is found and followed, w:majority keeps what
it acknowledges, w:1 doesn't. The set's time runs several times as fast as the machine's.
"""

import contextlib
import socket
import struct
import threading

import bson
import pymongo
import pytest
from conftest import running_world
from noctua import wait_until
from pymongo import MongoClient
from pymongo.errors import AutoReconnect, OperationFailure, PyMongoError
from pymongo.read_preferences import ReadPreference
from pymongo.write_concern import WriteConcern

SPEED = 10
RELEASES = ["3.6", "4.4"]


class ReplicaSet:
    """What the control API tells of the set and does to it."""

    def __init__(self, world):
        self.world = world
        self.hosts = world.addresses["mongo"]["members"]
        self.spares = world.addresses["mongo"]["spares"]

    def processes(self):
        return self.world.control("GET", "/mongo")["processes"]

    def do(self, process, **change):
        self.world.control("POST", f"/mongo/{process}", change)

    def cut(self, one, other, cut=True):
        body = {"from": one, "to": other, "cut": cut, "both": True}
        self.world.control("POST", "/mongo/links", body)

    def writable(self):
        return [i for i, p in enumerate(self.processes()) if p["writable"]]

    def primary(self):
        """The one primary of the highest term."""
        def newest():
            processes = self.processes()
            writable = [i for i, p in enumerate(processes) if p["writable"] and not p["stopped"]]
            return max(writable, key=lambda i: processes[i]["term"], default=None)

        return wait_until(lambda: [newest()] if newest() is not None else None, 20, "a primary")[0]

    def wait_for_other(self, old):
        wait_until(lambda: [i for i in self.writable() if i != old], 20, "another primary")
        return next(i for i in self.writable() if i != old)

    def wait_for_state(self, process, state):
        wait_until(lambda: self.processes()[process]["state"] == state, 20, f"state {state}")

    def direct(self, process, **options):
        """A client of one process alone."""
        options = {"serverSelectionTimeoutMS": 5000, "retryWrites": False, **options}
        return MongoClient(self.hosts[process], directConnection=True, **options)


@contextlib.contextmanager
def running_set(directory, release, members=3, *arguments):
    options = ["--mongo", f"rs0:{release}:{members}:1", "--mongo-speed", SPEED, *arguments]
    with running_world(directory / "world", *options) as world:
        yield ReplicaSet(world)


@pytest.fixture(params=RELEASES)
def replica_set(request, tmp_path):
    with running_set(tmp_path, request.param) as replica_set:
        replica_set.release = request.param
        yield replica_set


@pytest.fixture
def client(replica_set):
    with contextlib.closing(client_of(replica_set)) as client:
        yield client


def client_of(replica_set, **options):
    options = {"replicaSet": "rs0", "heartbeatFrequencyMS": 500, "socketTimeoutMS": 20000, **options}
    return MongoClient(replica_set.hosts, serverSelectionTimeoutMS=20000, **options)


def majority(client, timeout_ms=60000):
    return client.app.get_collection("c", write_concern=WriteConcern("majority", timeout_ms))


class Writer:
    """Inserts numbers with w:majority until it is told to stop; remembers what was acknowledged."""

    def __init__(self, replica_set):
        self.client = client_of(replica_set)
        self.acknowledged = []
        self.ending = threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        collection = majority(self.client)
        number = 0
        while not self.ending.is_set():
            number += 1
            with contextlib.suppress(PyMongoError):
                collection.insert_one({"_id": number})
                self.acknowledged.append(number)

    def end(self):
        self.ending.set()
        self.thread.join()
        self.client.close()
        return self.acknowledged


@pytest.mark.sanitizers
def test_the_driver_finds_the_primary_and_writes(replica_set, client):
    collection = majority(client)
    collection.insert_many([{"_id": i, "even": i % 2 == 0} for i in range(10)])
    assert client.primary == tuple_of(replica_set.hosts[replica_set.primary()])
    others = {
        tuple_of(host) for i, host in enumerate(replica_set.hosts) if i != replica_set.primary()
    }
    wait_until(lambda: client.secondaries == others, 10, "the driver has found the secondaries")
    assert collection.count_documents({"even": True}) == 5
    assert [d["_id"] for d in collection.find(sort=[("_id", -1)], limit=2)] == [9, 8]
    collection.update_one({"_id": "state"}, {"$set": {"epoch": 7}}, upsert=True)
    collection.update_one({"_id": "state"}, {"$inc": {"epoch": 1}})
    assert collection.find_one({"_id": "state"}) == {"_id": "state", "epoch": 8}
    assert collection.delete_one({"_id": 3}).deleted_count == 1
    with pytest.raises(pymongo.errors.DuplicateKeyError):
        collection.insert_one({"_id": 4})
    secondary = client.app.get_collection("c", read_preference=ReadPreference.SECONDARY)
    assert secondary.count_documents({}) == 10


def tuple_of(host):
    address, port = host.rsplit(":", 1)
    return address, int(port)


@pytest.mark.parametrize("fate", ["kill", "stop"])
def test_the_driver_follows_a_failover(replica_set, client, fate):
    majority(client).insert_one({"_id": "before"})
    old = replica_set.primary()
    replica_set.do(old, fate=fate)
    new = replica_set.wait_for_other(old)
    with contextlib.closing(client_of(replica_set, socketTimeoutMS=1000)) as fresh:
        wait_until(lambda: attempt(lambda: insert(fresh.app.c, "after")), 30, "a write")
        assert fresh.primary == tuple_of(replica_set.hosts[new])
        assert {d["_id"] for d in fresh.app.c.find()} == {"before", "after"}
        # A client that is closed says goodbye to whom it knows.
        replica_set.do(old, fate="continue" if fate == "stop" else "start")
        replica_set.wait_for_state(old, 2)


def insert(collection, number):
    with contextlib.suppress(pymongo.errors.DuplicateKeyError):
        collection.insert_one({"_id": number})
    return True


def attempt(function):
    try:
        return function()
    except PyMongoError:
        return None


@pytest.mark.sanitizers
def test_no_acknowledged_write_is_lost_over_elections(replica_set):
    writer = Writer(replica_set)
    try:
        for _ in range(4):
            old = replica_set.primary()
            wait_until(lambda: grown(writer), 20, "acknowledged writes")
            replica_set.do(old, fate="kill")
            replica_set.wait_for_other(old)
            replica_set.do(old, fate="start")
            replica_set.wait_for_state(old, 2)
    finally:
        acknowledged = writer.end()
    with contextlib.closing(client_of(replica_set)) as client:
        there = {d["_id"] for d in majority(client).find()}
    assert len(acknowledged) > 50
    assert set(acknowledged) <= there


def grown(writer, by=20):
    """Whether that many more were acknowledged since it was first asked."""
    goal = getattr(writer, "goal", None)
    if goal is None:
        writer.goal = len(writer.acknowledged) + by
        return False
    if len(writer.acknowledged) < goal:
        return False
    writer.goal = None
    return True


def test_a_cut_off_primary_loses_its_writes(replica_set):
    old = replica_set.primary()
    others = [i for i in range(3) if i != old]
    for other in others:
        replica_set.cut(old, other)
    with contextlib.closing(replica_set.direct(old)) as client:
        acknowledged = []
        for number in range(5):
            client.app.get_collection("c", write_concern=WriteConcern(1)).insert_one(
                {"_id": f"lost-{number}"}
            )
            acknowledged.append(f"lost-{number}")
    new = replica_set.wait_for_other(old)
    with contextlib.closing(replica_set.direct(new)) as client:
        majority(client).insert_one({"_id": "kept"})
    rolled_back = replica_set.processes()[old]["rollback_id"]
    for other in others:
        replica_set.cut(old, other, False)
    wait_until(
        lambda: replica_set.processes()[old]["rollback_id"] > rolled_back, 20, "a rollback"
    )
    replica_set.wait_for_state(old, 2)
    with contextlib.closing(client_of(replica_set)) as client:
        assert [d["_id"] for d in client.app.c.find()] == ["kept"]
    with contextlib.closing(replica_set.direct(old)) as client:
        secondary = client.app.get_collection("c", read_preference=ReadPreference.SECONDARY)
        wait_until(lambda: secondary.count_documents({}) == 1, 10, "the old primary has caught up")
    assert len(acknowledged) == 5


def test_step_up_hands_over(replica_set, client):
    old = replica_set.primary()
    target = (old + 1) % 3
    with contextlib.closing(replica_set.direct(target)) as direct:
        assert direct.admin.command("replSetStepUp")["ok"] == 1
    wait_until(lambda: replica_set.writable() == [target], 10, "the target is primary")
    majority(client).insert_one({"_id": "after"})
    assert client.primary == tuple_of(replica_set.hosts[target])
    with contextlib.closing(replica_set.direct(old)) as direct:
        with pytest.raises((OperationFailure, AutoReconnect)) as caught:
            direct.app.c.insert_one({"_id": "there"})
        assert caught.value.details["code"] == 10107 if replica_set.release == "4.4" else True


def test_a_driver_is_told_what_to_send_again(replica_set):
    """From 4.4 on drivers make a write again only when the server says that they may."""
    session = {"id": bson.Binary(bytes(16), 4)}
    insert = {"insert": "c", "documents": [{"_id": 1}], "$db": "app"}
    other = (replica_set.primary() + 1) % 3
    reply = ask_raw(replica_set.hosts[other], {**insert, "lsid": session, "txnNumber": bson.Int64(1)})
    assert reply["code"] == 10107
    expected = ["RetryableWriteError"] if replica_set.release == "4.4" else None
    assert reply.get("errorLabels") == expected
    assert "errorLabels" not in ask_raw(replica_set.hosts[other], insert)


def test_a_retried_write_is_made_once(replica_set):
    session = {"id": bson.Binary(bytes(16), 4)}
    insert = {"insert": "c", "documents": [{"_id": 1}], "$db": "app"}
    insert |= {"lsid": session, "txnNumber": bson.Int64(1), "writeConcern": {"w": "majority"}}
    old = replica_set.primary()
    assert ask_raw(replica_set.hosts[old], insert)["n"] == 1
    replica_set.do(old, fate="kill")
    new = replica_set.wait_for_other(old)
    again = ask_raw(replica_set.hosts[new], insert)
    assert (again["ok"], again["n"], again.get("writeErrors")) == (1, 1, None)
    anew = ask_raw(replica_set.hosts[new], {**insert, "txnNumber": bson.Int64(2)})
    assert anew["writeErrors"][0]["code"] == 11000


def ask_raw(host, command):
    """One OP_MSG on a connection of its own, without what a driver adds."""
    body = struct.pack("<i", 0) + b"\0" + bson.encode(command)
    with socket.create_connection(tuple_of(host), timeout=20) as connection:
        connection.sendall(struct.pack("<iiii", 16 + len(body), 1, 0, 2013) + body)
        length, _, _, _ = struct.unpack("<iiii", receive(connection, 16))
        return bson.decode(receive(connection, length - 16)[5:])


def test_a_write_concern_that_cannot_be_met_times_out(replica_set, client):
    for process in range(3):
        if process != replica_set.primary():
            replica_set.do(process, apply_delay_ms=-1)
    with pytest.raises(pymongo.errors.WTimeoutError) as caught:
        majority(client, 500).insert_one({"_id": "unsure"})
    assert caught.value.code == 64


def test_a_reconfig_adds_a_spare(replica_set, client):
    config = client.admin.command("replSetGetConfig")["config"]
    config["version"] += 1
    config["members"].append({"_id": 3, "host": replica_set.spares[0]})
    majority(client).insert_one({"_id": "old"})
    assert client.admin.command("replSetReconfig", config)["ok"] == 1
    replica_set.wait_for_state(3, 2)
    stale = {**config, "version": config["version"]}
    with pytest.raises(OperationFailure) as caught:
        client.admin.command("replSetReconfig", stale)
    assert caught.value.code == 103
    with contextlib.closing(
        MongoClient(replica_set.spares[0], directConnection=True)
    ) as direct:
        found = direct.app.get_collection("c", read_preference=ReadPreference.SECONDARY)
        assert found.find_one() == {"_id": "old"}


@pytest.mark.parametrize("mishap, there", [("lose_reply", True), ("lose_request", False)])
def test_a_lost_reply_is_a_write_that_was_made(replica_set, mishap, there):
    primary = replica_set.primary()
    with contextlib.closing(replica_set.direct(primary)) as client:
        client.app.c.insert_one({"_id": "first"})
        replica_set.do(primary, mishap=mishap, command="insert")
        with pytest.raises(AutoReconnect):
            client.app.c.insert_one({"_id": "second"})
        assert (client.app.c.find_one({"_id": "second"}) is not None) == there


def test_five_members_survive_two(tmp_path):
    with running_set(tmp_path, "4.4", 5) as replica_set:
        old = replica_set.primary()
        replica_set.do(old, fate="kill")
        replica_set.do((old + 1) % 5, fate="kill")
        replica_set.wait_for_other(old)
        with contextlib.closing(client_of(replica_set)) as client:
            majority(client).insert_one({"_id": 1})
            assert len(client.nodes) == 3


@pytest.mark.sanitizers
@pytest.mark.parametrize(
    "frame",
    [
        b"\x00\x00\x00\x00" + b"\x00" * 12,
        b"\xff\xff\xff\x7f" + b"\x00" * 12,
        b"\x10\x00\x00\x00" + b"\x01\x00\x00\x00" + b"\x00" * 4 + b"\x39\x30\x00\x00",
        b"\x15\x00\x00\x00" + b"\x01\x00\x00\x00" + b"\x00" * 4 + b"\xdd\x07\x00\x00" + b"\xff" * 5,
        b"\x01\x6c\xdc\x02" + b"\x01\x00\x00\x00" + b"\x00" * 4 + b"\xdd\x07\x00\x00",
    ],
)
def test_a_malformed_frame_closes_the_connection(tmp_path, frame):
    with running_set(tmp_path, "4.4", 1) as replica_set:
        with socket.create_connection(tuple_of(replica_set.hosts[0]), timeout=5) as connection:
            connection.sendall(frame)
            assert connection.recv(1) == b""
        with contextlib.closing(replica_set.direct(0)) as client:
            assert client.admin.command("ping")["ok"] == 1


def test_the_old_hello_is_answered_by_the_old_reply(tmp_path):
    query = bson.encode({"isMaster": 1})
    body = struct.pack("<i", 0) + b"admin.$cmd\0" + struct.pack("<ii", 0, -1) + query
    with running_set(tmp_path, "3.6", 1) as replica_set:
        with socket.create_connection(tuple_of(replica_set.hosts[0]), timeout=5) as connection:
            connection.sendall(struct.pack("<iiii", 16 + len(body), 77, 0, 2004) + body)
            length, _, response_to, operation = struct.unpack("<iiii", receive(connection, 16))
            reply = receive(connection, length - 16)
    assert (response_to, operation) == (77, 1)
    assert bson.decode(reply[20:])["ismaster"] is True


def receive(connection, count):
    data = b""
    while len(data) < count:
        part = connection.recv(count - len(data))
        assert part
        data += part
    return data
