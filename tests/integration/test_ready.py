"""What would stop a move is known before it is needed: `ready`, and what others change."""

import noctua
import pytest
from conftest import serve

HOME = "us-east-1"
OTHER = "us-west-2"


@pytest.fixture
def group(paged_group):
    return serve(paged_group)


def rows(group, *arguments):
    done = group.ctl("ready", "nocturnal", *arguments, "-o", "json", check=False)
    assert done.returncode in (0, 3), done
    document = noctua.json.loads(done.stdout)
    assert document["ready"] == (done.returncode == 0)
    return {r["what"]: r for r in document["rows"]}


def wait_for(group, what, result, words=""):
    def found():
        row = rows(group)[what]
        return row if row["result"] == result and words in row["value"] else None

    return noctua.wait_until(found, 20, f"{what} {result} {words}: {rows(group)}")


def zone():
    return f"zone {noctua.ZONE}"


def set_record(world, address):
    world.edit({"set": {"Name": f"{noctua.DOMAIN}.", "Type": "A", "TTL": 60, "Values": [address]}})


@pytest.mark.sanitizers
def test_all_is_well(group):
    wait_for(group, zone(), "pass", "as it should be")
    done = group.ctl("ready", "nocturnal")
    assert f"nocturnal could be moved to {OTHER} now." in done.stdout
    assert "FAIL" not in done.stdout and "target_healthy" in done.stdout
    assert rows(group)["mode"]["value"] == "auto"


def test_a_record_that_somebody_else_changed(group, world, receiver):
    """It is told with both states, paged, and over when the record is put back."""
    wait_for(group, zone(), "pass")
    set_record(world, "198.51.100.7")
    row = wait_for(group, zone(), "FAIL", "198.51.100.7")
    assert noctua.ADDRESSES[HOME] in row["value"]
    refused = group.ctl("ready", "nocturnal", check=False)
    assert refused.returncode == 3 and "could not be moved" in refused.stderr
    key = "test/foreign_change"
    noctua.wait_until(lambda: "trigger" in receiver.actions("/hook", key), 20, "paged")
    set_record(world, noctua.ADDRESSES[HOME])
    wait_for(group, zone(), "pass")
    noctua.wait_until(lambda: receiver.actions("/hook", key)[-1] == "resolve", 20, "over")
    told = [e["event"] for e in group.wait_for_leader().events()]
    assert "target_foreign" in told and "target_right" in told
    assert len(world.effects()) == 1, "it only reads"


def test_a_fence_that_is_gone(group, world):
    wait_for(group, zone(), "pass")
    name = next(r["name"] for r in world.effects()[0]["records"] if r["type"] == "TXT")
    world.edit({"delete": {"Name": name, "Type": "TXT"}})
    wait_for(group, zone(), "FAIL", "the fence is gone")


def test_a_zone_that_cannot_be_read(group, world):
    wait_for(group, zone(), "pass")
    fault = world.fault(kind="error", operation="list", code="AccessDenied", status=403, count=0)
    wait_for(group, zone(), "FAIL", "AccessDenied")
    world.remove_fault(fault)
    wait_for(group, zone(), "pass")


def test_after_a_move_it_is_read_again(group):
    """Right is now what the new region says."""
    wait_for(group, zone(), "pass")
    group.ctl("switchover", "nocturnal", "--to", OTHER, "--yes", "--wait", "30")
    wait_for(group, zone(), "pass")
    assert f"moved to {HOME} now" in group.ctl("ready", "nocturnal").stdout


def test_a_target_that_is_down(group, world):
    world.region(OTHER, "refuse")
    wait_for(group, "target_healthy", "FAIL")
    done = group.ctl("ready", "nocturnal", "--to", OTHER, check=False)
    assert done.returncode == 3


def test_a_quorum_that_goes_with_the_region(group):
    """Two of three nodes are enough now, and not once the active region's is gone as well."""
    assert rows(group)["quorum"]["result"] == "pass"
    group.nodes["n3"].kill()
    row = wait_for(group, "quorum", "FAIL")
    assert row["value"] == f"1 without {HOME}"


def test_what_is_not_there(group):
    done = group.ctl("ready", "nothing", check=False)
    assert done.returncode == 2 and "noctuactl status" in done.stderr
    done = group.ctl("ready", "nocturnal", "--to", "mars", check=False)
    assert done.returncode in (2, 3) and "is not ready" in done.stderr


def test_a_spec_that_changes_under_a_reading(group, world):
    """What was read belongs to the old one, and counts for nothing."""
    wait_for(group, zone(), "pass")
    leader = group.wait_for_leader()
    held = world.fault(kind="delay", operation="list", count=1)
    noctua.wait_until(lambda: all(f["fired"] for f in world.faults()), 20, "a reading is held")
    text = group.spec_text().replace(f"        {noctua.DOMAIN}:\n", f"""        www.{noctua.DOMAIN}:
          cname: {{us-east-1: east.example.org, us-west-2: west.example.org}}
        {noctua.DOMAIN}:
""")
    group.apply_spec(text)
    world.release(held)
    wait_for(group, zone(), "FAIL", "www")
    assert leader.running()
