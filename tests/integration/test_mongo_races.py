"""Whoever else acts on the replica set: somebody who changes its config at the same moment, and a
request to step up that comes again, late."""

import threading

import mongod
import noctua
import pymongo
import pymongo.errors
import pytest
from test_mongo_move import (EAST, WEST, knows_all, moving, priorities, region_of_primary,
                             replica_set, step_up_by_hand, steps, tags, writer)

__all__ = ["mongod", "moving", "replica_set", "writer"]  # fixtures, and their parameters


class Meddler:
    """Changes a setting of the config, again and again, as somebody with a script would."""

    def __init__(self, replica_set):
        self.replica_set = replica_set
        self.done = 0
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while not self.stopping.wait(0.05):
            try:
                primary = self.replica_set.primary()
                config = primary.command("replSetGetConfig")["config"]
                config["version"] += 1
                config.pop("term", None)
                config["settings"]["heartbeatTimeoutSecs"] = 10 + self.done % 5
                primary.command("replSetReconfig", config, maxTimeMS=3000)
                self.done += 1
            except (AttributeError, pymongo.errors.PyMongoError):
                continue  # no primary just now, or the other was faster

    def end(self):
        self.stopping.set()
        self.thread.join(20)


@pytest.mark.parametrize("version", mongod.ALL)
def test_how_a_forced_config_counts(tmp_path, version):
    """What MONGO_FORCE_JUMP rests on: 3.6 counts from what it is asked for, and refuses what isn't
    greater than what it has; 4.4 counts from the greater of both, and refuses nothing."""
    with mongod.running(tmp_path / "set", version, [EAST]) as one:
        member = one.members[0]

        def force(asked):
            config = member.command("replSetGetConfig")["config"]
            config.pop("term", None)
            try:
                member.command("replSetReconfig", {**config, "version": asked}, force=True)
            except pymongo.errors.OperationFailure as error:
                assert error.code == 103 and version.endswith("3.6"), error
                return None
            return member.command("replSetGetConfig")["config"]["version"]

        first = force(500000)
        assert 510000 <= first < 610000
        late = force(2)
        if version.endswith("3.6"):
            assert late is None
            assert member.command("replSetGetConfig")["config"]["version"] == first
        else:
            assert first + 10000 <= late < first + 110000


def test_somebody_changes_the_config_meanwhile(moving, replica_set, writer):
    """One of two changes of a version wins, and the move knows which; in the end both are there."""
    writer.wait_for_more()
    meddler = Meddler(replica_set)
    noctua.wait_until(lambda: meddler.done > 2, 60, "the config changes")
    epoch = moving.service()["epoch"]
    moving.ctl("switchover", "nocturnal", "--to", WEST, "--yes", "--timeout", "20s", check=False)
    execution = moving.wait_for_end(180, epoch=epoch + 1)
    meddler.end()
    if execution["result"] != "done":
        # Somebody else's change was in front: nothing of the step can land any more, and it says so.
        assert "refused" in steps(execution).values(), execution
        noctua.wait_until(lambda: knows_all(moving), 60, "the set is known")
        moving.wait_for_health()
        moving.ctl("switchover", "nocturnal", "--to", WEST, "--yes", "--wait", "60")
        assert moving.wait_for_end(60, epoch=epoch + 2)["result"] == "done"
    assert region_of_primary(replica_set) == WEST
    assert min(priorities(replica_set)[2:4]) > max(priorities(replica_set)[:2])
    assert len(set(tags(replica_set))) == 1
    config = replica_set.primary().command("replSetGetConfig")["config"]
    assert config["settings"]["heartbeatTimeoutSecs"] in range(10, 15)
    writer.wait_for_more()
    writer.end()
    assert writer.lost() == []


def test_a_late_step_up_heals_by_itself(moving, replica_set, writer):
    """Nothing refuses a request of an earlier move that comes now; the priorities take it back: an
    election each 10 to 20 s, which is lost when most voters just then have a newer write."""
    writer.wait_for_more()
    moving.ctl("switchover", "nocturnal", "--to", WEST, "--yes", "--wait", "60")
    assert moving.wait_for_end()["result"] == "done"
    epoch = moving.service()["epoch"]
    for _ in range(2):
        step_up_by_hand(replica_set.members[0])
        noctua.wait_until(replica_set.members[0].says_writable, 30, "it landed")
        noctua.wait_until(lambda: region_of_primary(replica_set) == WEST, 180, "it is back")
    writer.wait_for_more()
    assert moving.service()["epoch"] == epoch and moving.service()["active"] == WEST
    assert region_of_primary(replica_set) != EAST
    writer.end()
    assert writer.lost() == []
