"""The majority of a replica set is lost with its region: only a person can say that it is dead, and
then a config is forced upon the survivors, once. What was left out comes back by name."""

import re

import mongod
import noctua
import pymongo.errors
import pytest
from conftest import running_group, running_world
from test_mongo_move import (EAST, EU, FIVE, WEST, Writer, knows_all, moving, region_of_primary,
                             replica_set, row_of, section, steps, writer)

__all__ = ["moving", "replica_set", "writer"]  # fixtures
LOST = (0, 1, 4)  # with the witness's member: two of five are left
DECLARED = ("--declare-dead", f"{EAST},{EU}")


def lost(replica_set):
    return [replica_set.members[i] for i in LOST]


def survivors(replica_set):
    return replica_set.members[2:4]


def lose_the_majority(group, replica_set, world, stop=False):
    world.region(EAST, "refuse")
    for member in lost(replica_set):
        member.stop() if stop else member.kill()
    noctua.wait_until(lambda: group.service()["state"] == "blocked", 90, "it says why not")


def failover(group, *more, **options):
    return group.ctl("failover", "nocturnal", "--to", WEST, "--reason", "INC-1", "--yes", *more,
                     **options)


def wait_for_plan(group):
    words = ("nocturnal", "--to", WEST, *DECLARED, "--skip", "replication_lag")
    noctua.wait_until(lambda: group.ctl("plan", *words, check=False).returncode == 0, 60,
                      "there is a plan")


def forced(group, *more, **options):
    """A person waits until the set had its time, and skips what is too old by then by name."""
    wait_for_plan(group)
    return failover(group, *DECLARED, "--skip", "replication_lag", *more, **options)


def config_of(member):
    return member.command("replSetGetConfig")["config"]


def hosts(config):
    return [m["host"] for m in config["members"]]


def member_shown(group, host):
    members = ((group.detail() or {}).get("mongo") or {}).get("members", [])
    return next((m for m in members if m["host"] == host), None)


def readmit(group, replica_set, member):
    """In without a vote; and, as soon as it has caught up, with it."""
    def back():
        done = group.ctl("mongo", "readmit", "nocturnal", member.host, "--reason", "INC-1", "--yes",
                         "--wait", "60", check=False)
        # 3: no secondary yet; 6: it doesn't answer yet.
        assert done.returncode in (0, 3, 6), (done.stdout, done.stderr)
        return done.returncode == 0

    noctua.wait_until(back, 60, f"{member.host} is in")
    config = next(m for m in config_of(replica_set.primary())["members"]
                  if m["host"] == member.host)
    assert (config["votes"], config["priority"]) == (0, 0)
    noctua.wait_until(back, 120, f"{member.host} has its vote back")
    config = next(m for m in config_of(replica_set.primary())["members"]
                  if m["host"] == member.host)
    assert config["votes"] == 1 and "noctua_was" not in config["tags"]


def test_forced_and_back(moving, replica_set, writer, world):
    """Case c: declared, forced, and all members back in the end."""
    writer.wait_for_more()
    for member in (replica_set.members[1], replica_set.members[4]):
        if replica_set.world is None:  # else it may copy from a member that stops, and lag as well
            member.command("replSetSyncFrom", replica_set.members[0].host)
    noctua.wait_until(lambda: moving.detail()["mongo"]["writes_per_s"], 40, "its writes are counted")
    for member in survivors(replica_set):
        member.stop()  # what is acknowledged now they will never have
    writer.wait_for_more()
    noctua.wait_until(lambda: all(
        ((member_shown(moving, m.host) or {}).get("lag_ms") or 0) > 1000
        for m in survivors(replica_set)), 40, "they lag")
    lose_the_majority(moving, replica_set, world)
    for member in survivors(replica_set):
        member.resume()
    noctua.wait_until(lambda: all(
        (member_shown(moving, m.host) or {}).get("state") == "SECONDARY"
        for m in survivors(replica_set)), 40, "nobody is primary")
    acknowledged = len(writer.acknowledged)
    explained = moving.ask("explain", "nocturnal")
    assert "mongo_majority" in explained["failing"]
    forced(moving, "--wait", "120")
    execution = moving.wait_for_end(120)
    assert execution["result"] == "done", execution
    assert steps(execution) == {"force": "done", "promote": "done", "write": "done",
                                "switch": "done", "dns": "done"}
    row = row_of(moving, execution)
    # Less than they lagged, perhaps nothing: a batch was in their sockets when they went on.
    assert row["case"] == "forced" and row["lost_ms"] is not None, row
    assert re.fullmatch(r"~[0-9.ms]+, ~[0-9,]+ writes", row["lost"]), row
    assert f"  {row['lost']}  done" in moving.ctl("history", "nocturnal").stdout
    assert moving.service()["active"] == WEST
    primary = replica_set.primary(besides=lost(replica_set))
    assert replica_set.members.index(primary) in (2, 3)
    assert hosts(config_of(primary)) == [m.host for m in survivors(replica_set)]
    assert len({m["tags"]["noctua"] for m in config_of(primary)["members"]}) == 1
    writer.wait_for_more()
    # What only the lost region had is lost, and nothing else: the end of what it acknowledged.
    gone = writer.lost()
    assert gone and gone == writer.acknowledged[acknowledged - len(gone):acknowledged]
    print(f"{len(gone)} writes are lost; history says {row['lost']}")
    # They come back: out of the set, and in again by name, one voter at a time.
    for member in lost(replica_set):
        member.start()
    for member in lost(replica_set):
        readmit(moving, replica_set, member)
    config = config_of(replica_set.primary())
    assert sorted(hosts(config)) == sorted(m.host for m in replica_set.members)
    assert sum(m["votes"] for m in config["members"]) == 5
    noctua.wait_until(lambda: knows_all(moving), 60, "all members are well")
    assert region_of_primary(replica_set) == WEST
    writer.wait_for_more()
    writer.end()
    assert writer.lost() == gone


def test_hung_members_hold_nothing_up(moving, replica_set, writer, world):
    """They are stopped, not dead: left out all the same, and they wake up to a set without them."""
    writer.wait_for_more()
    lose_the_majority(moving, replica_set, world, stop=True)
    # A secondary of 3.6 takes up to 100 s to leave a source that hangs (docs/mongodb.md).
    forced(moving, "--wait", "240", timeout=250)
    execution = moving.wait_for_end(60)
    assert execution["result"] == "done", execution
    took = {s["name"]: s.get("took_ms") for s in execution["steps"]}
    print(f"with three members hung: {took}")
    for member in lost(replica_set):
        member.resume()

    def is_out(member):
        try:
            member.command("replSetGetStatus")
            return False
        except pymongo.errors.OperationFailure as error:
            return error.code == 93
        except pymongo.errors.AutoReconnect:  # a primary that steps down closes its connections
            return False

    for member in lost(replica_set):
        noctua.wait_until(lambda m=member: is_out(m), 60, f"{member.host} knows that it is out")
    assert region_of_primary(replica_set) == WEST
    writer.wait_for_more()


def test_a_declaration_is_checked(moving, replica_set, writer, world):
    """What isn't so is refused in words, and nothing is sent."""
    writer.wait_for_more()
    done = failover(moving, "--declare-dead", EAST, check=False)
    assert done.returncode == 3 and "nothing needs to be forced" in done.stderr
    lose_the_majority(moving, replica_set, world)
    for declared, words in ((EAST, "doesn't answer either"), (f"{EAST},{WEST}", "answers"),
                            (f"{EAST},nowhere", "nowhere")):
        done = failover(moving, "--declare-dead", declared, "--skip", "replication_lag",
                        check=False)
        assert done.returncode in (2, 3) and words in done.stderr, (declared, done.stderr)
    done = failover(moving, check=False)
    assert done.returncode == 3 and "--declare-dead" in done.stdout
    # A declaration is about one epoch, and one plan.
    wait_for_plan(moving)
    plan = moving.ask("plan", "nocturnal", "--to", WEST, *DECLARED, "--skip", "replication_lag")
    done = failover(moving, "--declare-dead", f"{EAST},{replica_set.members[4].host}",
                    "--plan-hash", "0" * len(plan["plan"]), "--skip", "replication_lag",
                    check=False)
    assert done.returncode == 8, done.stderr
    assert all(len(config_of(m)["members"]) == 5 for m in survivors(replica_set))
    # One comes back before a person has spoken: then there is nothing to be forced.
    replica_set.members[4].start()
    noctua.wait_until(lambda: (member_shown(moving, replica_set.members[4].host) or {}).get("state")
                      in ("SECONDARY", "PRIMARY"), 60, "it is seen")
    done = forced_unchecked(moving)
    assert done.returncode in (2, 3), done.stdout


def forced_unchecked(group):
    return failover(group, *DECLARED, "--skip", "replication_lag", check=False)


POINTS = ["before-intent", "after-intent", "before-attempt", "after-attempt", "before-send",
          "after-send", "after-reply", "before-outcome", "after-outcome"]


@pytest.fixture(params=mongod.ALL)
def armed(request, tmp_path):
    """(group, replica set, world), with points at which a node ends itself."""
    with mongod.running(tmp_path / "set", request.param, FIVE) as replica_set, \
            running_world(tmp_path / "world") as world, \
            running_group(tmp_path / "group", world, noctua.Group.with_test_points) as group:
        group.apply_spec(extra=section(replica_set))
        noctua.wait_until(lambda: knows_all(group), 60, "the set is known")
        group.adopt()
        group.wait_for_health()
        yield group, replica_set, world


@pytest.mark.parametrize("point", POINTS)
def test_leader_killed_at(armed, point):
    """kill -9 of the leader at every boundary of the forced config: sent once, or never; and once
    it was sent and doesn't show, a person must look."""
    group, replica_set, world = armed
    lose_the_majority(group, replica_set, world)
    before = config_of(replica_set.members[2])["version"]
    group.arm(point, nth=1)
    forced(group, "--timeout", "20s", check=False)
    victim = group.wait_for_victim(60)
    group.wait_for_leader(30, besides=[victim.name])
    execution = group.wait_for_end(180)
    config = config_of(replica_set.members[2])
    if execution["result"] == "done":
        # 3.6 and 4.4 add 10,000 to 110,000 to the version each time.
        assert before + 10000 <= config["version"] <= before + 110010
        assert len(config["members"]) == 2
    else:
        # From ATTEMPT on nobody else knows whether it was sent, also when it was only on its way.
        assert point in ("after-attempt", "before-send", "after-send"), (point, execution)
        assert steps(execution)["force"] == "unknown"
        assert config["version"] == before and len(config["members"]) == 5
        # The person has looked: it isn't there. A new epoch sends a new one.
        forced(group, "--wait", "120")
        assert group.wait_for_end(120)["result"] == "done"
    assert group.service()["active"] == WEST
    writer = Writer(replica_set)
    writer.wait_for_more()
    writer.end()
    assert writer.lost() == []
