"""A service moves with its replica set: real servers, real nodes, and a writer that counts."""

import threading
import time

import mongod
import noctua
import pymongo
import pymongo.errors
import pytest

EAST, WEST, EU = noctua.REGIONS
FIVE = [EAST, EAST, WEST, WEST, EU]


class Writer:
    """Inserts documents, w:majority, one after the other, from now until `end`."""

    def __init__(self, replica_set):
        self.acknowledged = []
        self.gap = 0.0  # longest time between two acknowledged writes
        self.stopping = False
        self.client = pymongo.MongoClient(replica_set.uri, serverSelectionTimeoutMS=2000,
                                          socketTimeoutMS=4000, retryWrites=False)
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def collection(self):
        concern = pymongo.WriteConcern("majority", wtimeout=3000)
        return self.client.app.get_collection("written", write_concern=concern)

    def run(self):
        number = 0
        last = time.monotonic()
        while not self.stopping:
            number += 1
            try:
                self.collection().insert_one({"_id": number})
            except pymongo.errors.PyMongoError:
                continue
            self.acknowledged.append(number)
            self.gap = max(self.gap, time.monotonic() - last)
            last = time.monotonic()
            time.sleep(0.01)  # a load, not a race

    def wait_for_more(self, seconds=30):
        count = len(self.acknowledged)
        noctua.wait_until(lambda: len(self.acknowledged) > count + 5, seconds, "writes go on")

    def end(self):
        self.stopping = True
        self.thread.join(20)

    def lost(self):
        concern = pymongo.read_concern.ReadConcern("majority")
        kept = {d["_id"] for d in self.client.app.get_collection("written",
                                                                 read_concern=concern).find()}
        return [n for n in self.acknowledged if n not in kept]


def section(replica_set, more=""):
    return f"""    mongo:
      uri: {replica_set.uri}
      write_check: nocturnal.noctua
      interval: 500ms
      timeout: 400ms
{more}"""


def knows_all(group):
    shown = (group.detail() or {}).get("mongo") or {}
    members = shown.get("members", [])
    return len(members) == len(FIVE) and all(
        m["state"] in ("SECONDARY", "PRIMARY") and m["lag_ms"] is not None for m in members)


@pytest.fixture(params=mongod.VERSIONS)
def replica_set(request, tmp_path):
    with mongod.running(tmp_path / "set", request.param, FIVE) as running:
        yield running


@pytest.fixture
def moving(bare_group, replica_set):
    """A group that has adopted the service with its set, everything being well."""
    bare_group.apply_spec(extra=section(replica_set))
    noctua.wait_until(lambda: knows_all(bare_group), 40, "the set is known")
    bare_group.adopt()
    bare_group.wait_for_health()
    return bare_group


@pytest.fixture
def writer(replica_set):
    writer = Writer(replica_set)
    yield writer
    writer.end()


def steps(execution):
    return {s["name"]: s["phase"] for s in execution["steps"]}


def region_of_primary(replica_set, besides=()):
    primary = replica_set.primary(besides)
    return None if primary is None else replica_set.regions[replica_set.members.index(primary)]


def tags(replica_set):
    config = replica_set.primary().command("replSetGetConfig")["config"]
    return [m["tags"].get("noctua") for m in config["members"]]


def priorities(replica_set):
    config = replica_set.primary().command("replSetGetConfig")["config"]
    return [m["priority"] for m in config["members"]]


def test_handover_and_back(moving, replica_set, writer):
    """Case a: both regions are well."""
    assert len(set(tags(replica_set))) == 1 and tags(replica_set)[0] is not None
    writer.wait_for_more()
    moving.ctl("switchover", "nocturnal", "--to", WEST, "--yes", "--wait", "60")
    execution = moving.wait_for_end()
    assert execution["result"] == "done"
    assert steps(execution) == {"prefer": "done", "promote": "done", "write": "done",
                                "switch": "done", "dns": "done"}
    assert region_of_primary(replica_set) == WEST
    assert min(priorities(replica_set)[2:4]) > max(priorities(replica_set)[:2])
    writer.wait_for_more()
    moving.ctl("switchover", "nocturnal", "--to", EAST, "--yes", "--wait", "60")
    assert moving.wait_for_end()["result"] == "done"
    assert region_of_primary(replica_set) == EAST
    writer.wait_for_more()
    writer.end()
    assert writer.lost() == []


def test_region_dies(moving, replica_set, writer, world):
    """Case b: the region of the primary dies with everything in it, a majority lives."""
    writer.wait_for_more()
    world.region(EAST, "refuse")
    moving.nodes["n1"].kill()
    dead = replica_set.members[:2]
    for member in dead:
        member.kill()
    moving.wait_for_active(WEST, seconds=60)
    execution = moving.wait_for_end(60)
    assert execution["result"] == "done", execution
    assert region_of_primary(replica_set, dead) == WEST
    writer.wait_for_more()
    # What comes back stays behind.
    for member in dead:
        member.start()
    noctua.wait_until(lambda: all(
        m["state"] in ("SECONDARY", "PRIMARY") for m in moving.detail()["mongo"]["members"]),
        60, "all members are back")
    writer.wait_for_more()
    assert region_of_primary(replica_set) == WEST
    writer.end()
    assert writer.lost() == []
    print(f"longest gap between two acknowledged writes: {writer.gap:.1f} s")
