"""A service moves with its replica set: real servers, real nodes, and a writer that counts."""

import contextlib
import signal
import threading
import time

import mongod
import noctua
import pymongo
import pymongo.errors
import pytest
from conftest import running_group

EAST, WEST, EU = noctua.REGIONS
FIVE = [EAST, EAST, WEST, WEST, EU]
DOWN = 3  # of an opinion


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


@pytest.fixture(params=mongod.ALL)
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


def row_of(group, execution):
    """What history keeps of it."""
    return group.ask("history", "nocturnal", "--epoch", execution["epoch"])["moves"][0]


def region_of_primary(replica_set, besides=()):
    primary = replica_set.primary(besides)
    return None if primary is None else replica_set.regions[replica_set.members.index(primary)]


def step_up_by_hand(member):
    """Refused while it hasn't caught up, or has no votes: then once more, as a person would."""
    def is_elected():
        try:
            member.command("replSetStepUp")
            return True
        except pymongo.errors.OperationFailure as error:
            assert error.code == 125, error
            return False

    noctua.wait_until(is_elected, 30, f"{member.host} steps up")


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
    moving.wait_for_health()  # each node's word that it is well again goes through the log
    moving.ctl("switchover", "nocturnal", "--to", EAST, "--yes", "--wait", "60")
    assert moving.wait_for_end()["result"] == "done"
    assert region_of_primary(replica_set) == EAST
    writer.wait_for_more()
    writer.end()
    assert writer.lost() == []


def test_region_that_is_left_is_up(bare_group, tmp_path):
    """While the primary is handed over there is none: nothing against the region once it is left."""
    with mongod.running(tmp_path / "set", "world-3.6", FIVE) as replica_set:
        # To rise by its rounds alone would take ten seconds.
        bare_group.apply_spec(extra=section(replica_set, "      fall: 2\n      rise: 20\n"))
        noctua.wait_until(lambda: knows_all(bare_group), 40, "the set is known")
        bare_group.adopt()
        bare_group.wait_for_health(40)
        bare_group.ctl("switchover", "nocturnal", "--to", WEST, "--yes", "--wait", "60")
        assert bare_group.wait_for_end()["result"] == "done"
        bare_group.wait_for_health(5)
        said = [e["value"] for e in bare_group.events("opinion") if e["region"] == EAST]
        assert DOWN in said  # else nothing was tested
        bare_group.ctl("switchover", "nocturnal", "--to", EAST, "--yes", "--wait", "60")
        assert bare_group.wait_for_end()["result"] == "done"
        assert region_of_primary(replica_set) == EAST


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
    row = row_of(moving, execution)
    assert row["case"] in ("there", "handover", "election"), row
    assert (row["lost"], row["lost_ms"], row["lost_writes"]) == ("0", 0, 0), row
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


def test_region_hangs(moving, replica_set, writer, world):
    """Its members and its node are stopped, not dead: they still believe what they believed."""
    writer.wait_for_more()
    world.region(EAST, "hang")
    moving.nodes["n1"].stop()
    hung = replica_set.members[:2]
    for member in hung:
        member.stop()
    # Real secondaries hold on to a source that hangs, for one minute to two (docs/mongodb.md, Limits).
    moving.wait_for_active(WEST, seconds=240)
    noctua.wait_until(lambda: region_of_primary(replica_set, hung) == WEST, 10, "it was promoted")
    writer.wait_for_more()
    for member in hung:
        member.resume()
    moving.nodes["n1"].resume()
    execution = moving.wait_for_end(120)
    assert execution["result"] == "done", execution
    noctua.wait_until(lambda: knows_all(moving), 60, "all members are well")
    writer.wait_for_more()
    # Who wakes up may cause an election; the priorities decide in the end.
    noctua.wait_until(lambda: region_of_primary(replica_set) == WEST, 40, "it is there")
    writer.end()
    assert writer.lost() == []


@pytest.mark.parametrize("by_itself", [False, True])
@pytest.mark.parametrize("version", ["world-4.4", mongod.VERSIONS[-1]])
def test_nobody_takes_it_back(bare_group, tmp_path, world, version, by_itself):
    """A member elsewhere has a higher priority, and the config can't change while members hang;
    whoever was first to make the new primary, the set or Noctua."""
    with mongod.running(tmp_path / "set", version, FIVE, priorities=[4, 1, 1, 1, 3]) as replica_set:
        bare_group.apply_spec(extra=section(replica_set))
        noctua.wait_until(lambda: knows_all(bare_group), 60, "the set is known")
        bare_group.adopt()
        bare_group.wait_for_health()
        world.region(EAST, "refuse")
        hung = replica_set.members[:2]
        if by_itself:  # the rival can't stand for so long
            replica_set.members[4].command("replSetFreeze", 8)
        for member in hung:
            member.stop()
        bare_group.wait_for_active(WEST, seconds=240)  # as in test_region_hangs
        seen = set()
        begun = time.monotonic()

        def long_enough():
            """The set takes a primary back within ten seconds, where nothing keeps it."""
            seen.add(region_of_primary(replica_set, hung))
            return time.monotonic() > begun + 20

        noctua.wait_until(long_enough, 40, "twenty seconds")
        assert seen == {WEST}
        for member in hung:
            member.resume()
        assert bare_group.wait_for_end(120)["result"] == "done"


def test_a_refused_step_pages_while_the_move_goes_on(paged_group, receiver, tmp_path, world):
    """The set came to a service that was adopted already, and nobody heeded that page."""
    group = paged_group
    with mongod.running(tmp_path / "set", "world-4.4", FIVE) as replica_set:
        group.apply_spec()
        group.adopt()
        group.apply_spec(extra=section(replica_set))
        noctua.wait_until(lambda: knows_all(group), 40, "the set is known")
        group.wait_for_health()
        hung = world.fault(kind="hang", operation="change", count=0)
        world.region(EAST, "refuse")
        for member in replica_set.members[:2]:
            member.kill()
        page = noctua.wait_until(lambda: [b for b in receiver.bodies("/hook")
                                          if b["key"] == "test/move_stopped" and
                                          b["action"] == "trigger"], 60, "it is paged")[0]
        assert "step prefer is refused; noctuactl status nocturnal" in page["summary"]
        world.remove_fault(hung)
        execution = group.wait_for_end(60)
        assert execution["result"] == "half-moved"
        phases = steps(execution)  # with `promote` or without: the set may have been first
        assert phases.pop("prefer") == "refused" and set(phases.values()) == {"done"}
        assert {"write", "switch", "dns"} <= phases.keys()
        assert region_of_primary(replica_set, replica_set.members[:2]) == WEST


def test_majority_lost_is_for_a_person(moving, replica_set, writer, world):
    """Case c: the region dies, and the witness's member with it."""
    before = priorities(replica_set)
    world.region(EAST, "refuse")
    moving.nodes["n1"].kill()
    for member in (*replica_set.members[:2], replica_set.members[4]):
        member.kill()
    noctua.wait_until(lambda: moving.service()["state"] == "blocked", 60, "it says why not")
    explained = moving.ask("explain", "nocturnal")
    assert "mongo_majority" in explained["failing"]
    refused = moving.ctl("failover", "nocturnal", "--to", WEST, "--skip", "mongo_majority",
                         "--reason", "test", "--yes", check=False)
    assert refused.returncode == 2 and "can't be skipped" in refused.stderr
    assert moving.service()["active"] == EAST
    survivor = replica_set.members[2].command("replSetGetConfig")["config"]
    assert [m["priority"] for m in survivor["members"]] == before
    replica_set.members[4].start()  # then it goes on by itself
    moving.wait_for_active(WEST, seconds=90)
    assert moving.wait_for_end(90)["result"] == "done"
    writer.wait_for_more()
    writer.end()
    assert writer.lost() == []


def test_only_laggards_are_left(bare_group, replica_set, world, writer):
    """Case d: nobody in the target is near enough; then somebody is."""
    bare_group.apply_spec(extra=section(replica_set, "      max_lag: 2s\n"))
    noctua.wait_until(lambda: knows_all(bare_group), 40, "the set is known")
    bare_group.adopt()
    bare_group.wait_for_health()
    laggards = replica_set.members[2:4]
    for member in laggards:
        member.lag(True)

    def far_behind():
        members = bare_group.detail()["mongo"]["members"]
        return all(m["lag_ms"] > 4000 for m in members if m["host"] in {x.host for x in laggards})

    noctua.wait_until(far_behind, 40, "they lag")
    world.region(EAST, "refuse")
    noctua.wait_until(lambda: bare_group.service()["state"] == "blocked", 60, "it says why not")
    assert "replication_lag" in bare_group.ask("explain", "nocturnal")["failing"]

    def loss():
        told = bare_group.ask("explain", "nocturnal")
        return told["to"] == WEST and told["loss"]["writes"] and told["loss"]

    told = noctua.wait_until(loss, 40, "what a move there would lose, in writes as well")
    assert told["lag_ms"] > 4000 and told["writes"] > 0 and not told["acked"], told
    assert "Loss: none acked w:majority; w:1 " in bare_group.ctl("explain", "nocturnal").stdout
    assert bare_group.service()["active"] == EAST and region_of_primary(replica_set) == EAST
    for member in laggards:
        member.lag(False)
    bare_group.wait_for_active(WEST, seconds=90)
    assert bare_group.wait_for_end(90)["result"] == "done"
    writer.end()
    assert writer.lost() == []


def test_false_alarm(moving, replica_set, writer, world):
    """One node can't see the region; the primary is fine, and nothing moves."""
    node = moving.followers()[0]
    node.stop()
    writer.wait_for_more()
    term = replica_set.primary().command("replSetGetStatus")["term"]
    epoch = moving.service()["epoch"]
    node.resume()
    moving.wait_for_health()
    assert moving.service()["epoch"] == epoch
    assert replica_set.primary().command("replSetGetStatus")["term"] == term


@contextlib.contextmanager
def moving_with_points(tmp_path, world, replica_set):
    """As `moving`, of nodes that stop themselves where a test wants it."""
    with running_group(tmp_path / "group", world, noctua.Group.with_test_points) as group:
        group.apply_spec(extra=section(replica_set))
        noctua.wait_until(lambda: knows_all(group), 60, "the set is known")
        group.adopt()
        group.wait_for_health()
        yield group


def switched_to(group, epoch):
    return [e["to"] for e in group.events("switch") if e["epoch"] == epoch]


@pytest.mark.parametrize("version", mongod.ALL)
def test_double_failure(tmp_path, world, version):
    """The primary's region dies; while the service moves, the new primary dies as well."""
    regions = [EAST, WEST, WEST, WEST, EU]
    with mongod.running(tmp_path / "set", version, regions) as replica_set, \
            moving_with_points(tmp_path, world, replica_set) as group:
        writer = Writer(replica_set)
        try:
            writer.wait_for_more()
            group.wait_to_lead(group.nodes["n2"])
            group.nodes["n1"].kill()
            group.arm("after-outcome", "stop")  # with n1 dead nobody goes on instead
            world.region(EAST, "refuse")
            dead = [replica_set.members[0]]
            dead[0].kill()
            victim = group.wait_for_victim(60)
            primary = noctua.wait_until(lambda: replica_set.primary(dead), 30, "a new primary")
            primary.kill()
            dead.append(primary)
            victim.resume()
            execution = group.wait_for_end(120, epoch=2)
            assert execution["result"] == "done", execution
            assert set(steps(execution).values()) == {"done"}
            assert switched_to(group, 2) == [WEST]
            noctua.wait_until(lambda: region_of_primary(replica_set, dead) == WEST, 60,
                              "a primary is there")
            writer.wait_for_more(60)
        finally:
            writer.end()
        assert writer.lost() == []


@pytest.mark.parametrize("version", mongod.ALL)
def test_somebody_else_promotes(tmp_path, world, version):
    """In the middle of a move, between `promote` and `write`, the primary goes elsewhere by hand."""
    def step_up(replica_set):
        """Another one, in a region that has nothing to do with it."""
        step_up_by_hand(replica_set.members[4])

    def step_down(replica_set):
        """The new one, for a minute; the set chooses who follows."""
        with contextlib.suppress(pymongo.errors.AutoReconnect):  # 3.6 hangs up on everybody
            replica_set.primary().command("replSetStepDown", 60)

    with mongod.running(tmp_path / "set", version, FIVE) as replica_set, \
            moving_with_points(tmp_path, world, replica_set) as group:
        writer = Writer(replica_set)
        try:
            for epoch, to, by_hand in ((2, WEST, step_up), (3, EAST, step_down)):
                group.wait_for_health()
                noctua.wait_until(lambda: knows_all(group), 60, "all members are well")
                idle = group.followers()[0]
                idle.stop()  # so that nobody goes on instead
                group.arm("after-outcome", "stop", nth=2)
                group.ctl("switchover", "nocturnal", "--to", to, "--yes", "--timeout", "10s",
                          check=False)
                victim = group.wait_for_victim(60)
                before = replica_set.primary()
                by_hand(replica_set)
                noctua.wait_until(lambda b=before: replica_set.primary() not in (None, b), 40,
                                  "another primary")
                idle.resume()
                victim.resume()
                execution = group.wait_for_end(120, epoch=epoch)
                assert execution["result"] == "done", execution
                assert set(steps(execution).values()) == {"done"}
                assert switched_to(group, epoch) == [to]
                noctua.wait_until(lambda t=to: region_of_primary(replica_set) == t, 60,
                                  "the primary is there")
                writer.wait_for_more(60)
        finally:
            writer.end()
        assert writer.lost() == []


def test_primary_goes_to_and_fro(bare_group, replica_set, writer):
    """Somebody promotes one elsewhere, the set takes it back, and again: nothing moves."""
    # Before 4.4 each change takes two seconds without a primary: no reason to suspect a region.
    bare_group.apply_spec(extra=section(replica_set, "      fall: 12\n"))
    noctua.wait_until(lambda: knows_all(bare_group), 40, "the set is known")
    bare_group.adopt()
    bare_group.wait_for_health()
    epoch = bare_group.service()["epoch"]
    for number in (2, 4, 3):
        step_up_by_hand(replica_set.members[number])
        for where in (replica_set.regions[number], EAST):
            noctua.wait_until(
                lambda w=where: (bare_group.detail()["mongo"] or {}).get("primary_region") == w,
                60, f"the primary is in {where}")
        writer.wait_for_more()
    bare_group.wait_for_health()
    assert bare_group.service()["epoch"] == epoch and bare_group.service()["active"] == EAST
    assert not bare_group.events("suspect", "blocked")
    writer.end()
    assert writer.lost() == []


def test_primary_moves_by_itself(moving, replica_set, writer):
    """That is the set's own business: the service stays, and somebody is told."""
    for node in moving.nodes.values():
        with open(node.config, "a", encoding="utf-8") as config:
            config.write("alarm: {primary_elsewhere_after: 1s}\n")
        node.process.signal(signal.SIGHUP)
    noctua.wait_until(lambda: knows_all(moving), 40, "the set is known")
    epoch = moving.service()["epoch"]
    step_up_by_hand(replica_set.members[2])
    told = 'noctua_alarm{alarm="primary_elsewhere"} 1'
    paged, seen = [], []

    def is_known():
        """Each once: a 4.4 takes it back within seconds."""
        shown = moving.detail()["mongo"] or {}
        seen.extend(["west"] if shown.get("primary_region") == WEST else [])
        paged.extend(["west"] if told in moving.leader().get("/metrics")[1] else [])
        return paged and seen

    noctua.wait_until(is_known, 30, "it is seen and paged")
    writer.wait_for_more()
    moving.wait_for_health()
    assert moving.service()["epoch"] == epoch and moving.service()["active"] == EAST
    # Its own priorities bring it back.
    noctua.wait_until(lambda: region_of_primary(replica_set) == EAST, 40, "it is back")


@pytest.mark.parametrize("version", ["world-4.4", mongod.VERSIONS[-1]])
def test_primary_is_followed(bare_group, tmp_path, version):
    """on_own_election: follow. Where the service may not be served it is told all the same."""
    alarm = 'noctua_alarm{alarm="primary_elsewhere"} '
    for node in bare_group.nodes.values():
        with open(node.config, "a", encoding="utf-8") as config:
            config.write("alarm: {primary_elsewhere_after: 1s}\n")
        node.process.signal(signal.SIGHUP)

    def stands(region, told):
        shown = (bare_group.detail() or {}).get("mongo") or {}
        metrics = bare_group.leader().get("/metrics")[1]
        return shown.get("primary_region") == region and f"{alarm}{told}" in metrics

    with mongod.running(tmp_path / "set", version, FIVE, priorities=[1] * 5) as replica_set:
        bare_group.apply_spec(extra=section(replica_set, "      on_own_election: follow\n"))
        noctua.wait_until(lambda: knows_all(bare_group), 40, "the set is known")
        bare_group.adopt()
        bare_group.wait_for_health()
        epoch = bare_group.service()["epoch"]
        step_up_by_hand(replica_set.members[4])
        noctua.wait_until(lambda: stands(EU, 1), 30, "the witness's region is told")
        step_up_by_hand(replica_set.members[2])
        noctua.wait_until(lambda: stands(WEST, 0), 30, "a target is not")
        since = time.monotonic()
        noctua.wait_until(lambda: not stands(WEST, 0) or time.monotonic() > since + 5, 10,
                          "five times what it would have taken")
        assert stands(WEST, 0)
        assert bare_group.service()["epoch"] == epoch and bare_group.service()["active"] == EAST


def test_without_a_write_check(bare_group, replica_set):
    """The set's own commit point tells whether a majority follows."""
    text = section(replica_set).replace("      write_check: nocturnal.noctua\n", "")
    bare_group.apply_spec(extra=text)
    noctua.wait_until(lambda: knows_all(bare_group), 40, "the set is known")
    bare_group.adopt()
    bare_group.wait_for_health()
    bare_group.ctl("switchover", "nocturnal", "--to", WEST, "--yes", "--wait", "60")
    assert bare_group.wait_for_end()["result"] == "done"
    assert region_of_primary(replica_set) == WEST


# The least that watching and promoting take (docs/mongodb.md); serverStatus is for a figure only.
PRIVILEGES = [
    {"resource": {"cluster": True}, "actions": [
        "replSetGetStatus", "replSetGetConfig", "replSetConfigure", "replSetStateChange"]},
    {"resource": {"db": "local", "collection": "oplog.rs"}, "actions": ["find"]},
    {"resource": {"db": "nocturnal", "collection": "noctua"},
     "actions": ["find", "update", "insert"]},
]
PASSWORD = "correct-horse-battery"
KEY = "c2VjcmV0a2V5Zm9ydGVzdHM" * 3


@pytest.mark.parametrize("version", mongod.VERSIONS)
def test_least_privileges(bare_group, tmp_path, version):
    """SCRAM, and a role that may do nothing else: adopted, moved, left alone again."""
    for node in bare_group.nodes.values():
        (node.directory / "secrets" / "mongo").write_text(f"noctua:{PASSWORD}\n")
    with mongod.running(tmp_path / "set", version, FIVE, key=KEY) as replica_set:
        first = replica_set.members[0]
        replica_set.add_user("root", PASSWORD, "root")
        replica_set.login = {"username": "root", "password": PASSWORD, "authSource": "admin"}
        first.command("createRole", "noctua", privileges=PRIVILEGES, roles=[],
                      login=replica_set.login)
        replica_set.add_user("noctua", PASSWORD, "noctua", login=replica_set.login)
        bare_group.apply_spec(extra=section(replica_set, "      credentials: file:mongo\n"))
        noctua.wait_until(lambda: knows_all(bare_group), 60, "the set is known")
        bare_group.adopt()
        bare_group.wait_for_health()
        bare_group.ctl("switchover", "nocturnal", "--to", WEST, "--yes", "--wait", "60")
        assert bare_group.wait_for_end()["result"] == "done"
        assert region_of_primary(replica_set) == WEST
        bare_group.ctl("release", "--service", "nocturnal", "--reason", "test", "--yes", "--wait", "30")
        config = replica_set.primary().command("replSetGetConfig", login=replica_set.login)
        assert all("noctua" not in m["tags"] for m in config["config"]["members"])
