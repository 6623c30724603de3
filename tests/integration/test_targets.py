"""A target that loses replies, delays, forgets, is changed by others, or is dead."""

import noctua
import pytest

DEAD = "us-east-1"
NEW = "us-west-2"


def move(group, *more, **options):
    return group.ctl("switchover", "nocturnal", "--to", NEW, "--yes", *more, **options)


@pytest.mark.sanitizers
def test_reply_lost_after_the_change_applied(group, world):
    world.fault(kind="drop_reply", operation="change", count=1)
    move(group)
    execution = group.wait_for_end(60)
    assert execution["result"] == "done"
    assert len(world.effects()) == 2
    assert world.dig() == [noctua.ADDRESSES[NEW]]


def test_refused_second_attempt_while_the_first_landed(group, world):
    """The refusal of attempt 2 decides nothing: a read finds that attempt 1 did it."""
    first = world.fault(kind="delay", operation="change", count=1, client="close")
    second = world.fault(kind="delay", operation="change", count=1)
    move(group)
    noctua.wait_until(lambda: all(f["fired"] for f in world.faults()), 30, "two attempts")
    world.release(first)
    noctua.wait_until(lambda: len(world.effects()) == 2, 10, "attempt 1 lands")
    world.release(second)
    execution = group.wait_for_end(60)
    assert execution["result"] == "done"
    assert {s["name"]: s["attempts"] for s in execution["steps"]}["dns"] == 2
    assert [e for e in world.ledger() if e["kind"] == "refused"]
    assert len(world.effects()) == 2


LONG = "v=DKIM1; k=rsa; p=" + 42 * "abcdefghi/"
RECORDS = f"""        '*.{noctua.DOMAIN}':
          type: A
          values: {{us-east-1: 192.0.2.11, us-west-2: 192.0.2.12}}
        api.{noctua.DOMAIN}:
          alias:
            us-east-1: web-1.us-east-1.elb.amazonaws.com
            us-west-2: web-2.us-west-2.elb.amazonaws.com
        dkim.{noctua.DOMAIN}: {{type: TXT, values: {{us-east-1: east, us-west-2: "{LONG}"}}}}
        www.{noctua.DOMAIN}:
          cname: {{us-east-1: east.example.org, us-west-2: west.example.org}}
        w.{noctua.DOMAIN}:
          type: A
          values: {{us-east-1: 192.0.2.21, us-west-2: 192.0.2.22}}
          routing: weighted
        f.{noctua.DOMAIN}:
          type: A
          values: {{us-east-1: 192.0.2.31, us-west-2: 192.0.2.32}}
          routing: failover
          sets: {{us-east-1: the first, us-west-2: the second}}
"""


def record_sets():
    def record(name, kind="A", **more):
        return {"Name": f"{name}.{noctua.DOMAIN}.", "Type": kind, **more}

    def alias(region):
        return {"AliasTarget": {"HostedZoneId": "Z35SXDOTRQ7X7K", "EvaluateTargetHealth": True,
                                "DNSName": f"web-1.{region}.elb.amazonaws.com."}}

    def weighted(identifier, address, **more):
        return {"SetIdentifier": identifier, "TTL": 60, "Values": [address], **more}

    return [
        record("*", TTL=60, Values=["192.0.2.11"]),
        record("api", **alias(DEAD)),
        record("dkim", "TXT", TTL=60, Values=['"east"']),
        record("www", "CNAME", TTL=60, Values=["east.example.org"]),
        record("w", **weighted(DEAD, "192.0.2.21", Weight=100)),
        record("w", **weighted(NEW, "192.0.2.22", Weight=0)),
        record("f", **weighted("the first", "192.0.2.31", Failover="PRIMARY")),
        record("f", **weighted("the second", "192.0.2.32", Failover="SECONDARY")),
    ]


def test_every_kind_of_record_in_one_batch_by_the_spec(bare_group, world):
    """As a spec declares them: names with escapes, long text, and all of it there and back."""
    group = bare_group
    world.edit({"changes": [{"set": s} for s in record_sets()]})

    def zone():
        sets = world.control("GET", f"/zones/{noctua.ZONE}")["record_sets"]
        return [s for s in sets if not s["Name"].startswith("_noctua")]

    before = zone()
    text = group.spec_text()
    group.apply_spec(text.replace(f"        {noctua.DOMAIN}:\n", f"{RECORDS}        {noctua.DOMAIN}:\n"))
    group.adopt()
    group.wait_for_health()
    move(group)
    assert group.wait_for_end()["result"] == "done"
    assert world.dig(f"any.{noctua.DOMAIN}") == ["192.0.2.12"]
    assert world.dig(f"f.{noctua.DOMAIN}") == ["192.0.2.32"]
    assert world.dig(f"w.{noctua.DOMAIN}") == ["192.0.2.22"]
    assert world.dig(f"www.{noctua.DOMAIN}", "CNAME") == ["west.example.org."]
    strings = world.dig(f"dkim.{noctua.DOMAIN}", "TXT")
    assert "".join(s.strip('"') for s in strings).replace(" ", "") == LONG.replace(" ", "")
    after = zone()
    assert sum(a != b for a, b in zip(before, after, strict=True)) == 9
    group.ctl("switchover", "nocturnal", "--to", DEAD, "--yes", "--wait", "30")
    assert zone() == before
    assert len(world.effects()) == 3  # one batch each


def test_request_applied_twice(group, world):
    world.fault(kind="duplicate", operation="change", count=1, ms=300)
    move(group)
    assert group.wait_for_end(60)["result"] == "done"
    noctua.wait_until(
        lambda: [e for e in world.ledger() if e.get("late") == "duplicate"], 10, "the second one"
    )
    assert len(world.effects()) == 2
    assert world.dig() == [noctua.ADDRESSES[NEW]]


def test_signature_refused_for_its_date(group, world):
    """The clocks of group and target part while a request is on its way. Its refusal is read like
    any other; the second attempt is dated by the target's clock."""
    held = world.fault(kind="delay", operation="change", count=1, expire=True)
    move(group)
    noctua.wait_until(lambda: world.control("GET", f"/faults/{held}")["held"], 30, "the attempt")
    world.control("POST", "/clock", {"offset_ms": 3600 * 1000})
    world.release(held)
    execution = group.wait_for_end(60)
    assert execution["result"] == "done"
    assert {s["name"]: s["attempts"] for s in execution["steps"]}["dns"] == 2
    assert len(world.effects()) == 2


def two_attempts(group, world):
    """A move whose first request is on its way for ever, and whose second is not answered."""
    held = world.fault(kind="delay", operation="change", count=1, client="close")
    hung = world.fault(kind="hang", operation="change", count=0)
    move(group)
    noctua.wait_until(lambda: all(f["fired"] for f in world.faults()), 30, "two attempts")
    return held, hung


def test_cancel_with_an_attempt_in_flight(group, world):
    """Nobody answers, so the driver's own deadline must pass before it reads."""
    held = world.fault(kind="delay", operation="change", count=1)
    move(group)
    noctua.wait_until(lambda: any(f["fired"] for f in world.faults()), 30, "a request is held")
    group.ctl("cancel", "nocturnal", "--reason", "second thoughts")
    execution = group.wait_for_end(90)
    assert execution["result"] == "half-moved", execution
    assert {s["name"]: s["phase"] for s in execution["steps"]}["dns"] == "refused"
    world.release(held)  # it arrives now, late: the burnt fence refuses it
    noctua.wait_until(
        lambda: [e for e in world.ledger() if e["kind"] == "refused"], 10, "refused late"
    )
    assert world.dig() == [noctua.ADDRESSES[DEAD]]
    # Half-moved: continue by another move.
    group.ctl("failover", "nocturnal", "--to", NEW, "--yes", "--wait", "60")
    assert world.dig() == [noctua.ADDRESSES[NEW]]


def set_record(world, address):
    record = {"Name": f"{noctua.DOMAIN}.", "Type": "A", "TTL": 60, "Values": [address]}
    world.edit({"set": record})


def test_foreign_change_before_a_move(group, world):
    set_record(world, "198.51.100.7")
    move(group)
    assert group.wait_for_end(60)["result"] == "done"
    assert world.dig() == [noctua.ADDRESSES[NEW]]


def test_foreign_change_during_a_move_and_undone(group, world):
    held, hung = two_attempts(group, world)
    set_record(world, "198.51.100.7")
    world.remove_fault(hung)
    execution = group.wait_for_end(90)
    assert execution["result"] == "half-moved", execution
    set_record(world, noctua.ADDRESSES[DEAD])
    world.release(held)
    noctua.wait_until(
        lambda: [e for e in world.ledger() if e["kind"] == "refused"], 10, "refused late"
    )
    assert world.dig() == [noctua.ADDRESSES[DEAD]]


def test_fence_deleted_is_unknown_and_adopt_mends_it(group, world):
    fence = next(e for e in world.effects())["records"]
    name = next(r["name"] for r in fence if r["type"] == "TXT")
    world.edit({"delete": {"Name": name, "Type": "TXT"}})
    move(group)
    execution = group.wait_for_end(60)
    assert execution["result"] == "half-moved", execution
    assert "adopt" in str(execution["steps"])
    set_record(world, noctua.ADDRESSES[NEW])
    group.ctl("adopt", "nocturnal", "--to", NEW, "--yes", "--wait", "30")


def test_accepted_change_forgotten(bare_group, tmp_path, world):
    group = bare_group
    group.apply_spec()
    group.adopt()
    group.wait_for_health()
    world.fault(kind="forget", operation="change", count=1, status="missing", ms=100)
    move(group)
    execution = group.wait_for_end(90)
    assert execution["result"] == "done", execution
    assert world.dig() == [noctua.ADDRESSES[NEW]]


@pytest.mark.parametrize(
    "error",
    [{"code": "Throttling"}, {"code": "PriorRequestNotComplete"}, {"status": 500}],
    ids=str,
)
def test_errors_are_waited_out(group, world, error):
    world.fault(kind="error", operation="change", count=2, **error)
    move(group)
    assert group.wait_for_end(60)["result"] == "done"
    assert len(world.effects()) == 2


def test_dead_control_plane_released_and_settled(group, world):
    dead = world.fault(kind="dead")
    move(group)
    group.wait_for_active(NEW)  # DNS can't hold the switch up
    early = group.ctl("release", "nocturnal", "--step", "dns", check=False)
    assert early.returncode == 2 and "--reason" in early.stderr
    group.ctl("release", "nocturnal", "--step", "dns", "--reason", "Route 53 is down")
    group.wait_for_end(30)
    world.remove_fault(dead)
    group.ctl("switchover", "nocturnal", "--to", DEAD, "--yes", "--wait", "60")
    assert world.dig() == [noctua.ADDRESSES[DEAD]]


def test_released_attempt_is_burnt_by_the_next_move(group, world):
    held, hung = two_attempts(group, world)
    group.ctl("release", "nocturnal", "--step", "dns", "--reason", "no answer")
    assert group.wait_for_end(30)["result"] == "released"
    assert len(group.detail()["debts"]) == 1
    world.remove_fault(hung)
    group.ctl("switchover", "nocturnal", "--to", DEAD, "--yes", "--wait", "60")
    assert group.detail()["debts"] == []
    world.release(held)
    noctua.wait_until(
        lambda: [e for e in world.ledger() if e["kind"] == "refused"], 10, "refused late"
    )
    assert world.dig() == [noctua.ADDRESSES[DEAD]]
