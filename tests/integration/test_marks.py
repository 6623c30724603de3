"""What moves nothing: a service is let go of, and a record that somebody changed is written again."""

import noctua
import pytest

HOME = "us-east-1"
OTHER = "us-west-2"


def marks(world):
    """The fences in the zone."""
    zone = world.control("GET", f"/zones/{noctua.ZONE}")
    return [r for r in zone["record_sets"] if r["Type"] == "TXT" and "_noctua" in r["Name"]]


def serves(node, region, service="nocturnal"):
    status = node.get(f"/services/{service}/regions/{region}/active")[0]
    return status, node.get(f"/switch/{service}/{region}")[1].strip()


def wait_for_state(group, state):
    noctua.wait_until(lambda: group.service()["state"] == state, 10, f"it is {state}")


def release(group, **options):
    return group.ctl("release", "--service", "nocturnal", "--yes", "--wait", "30",
                     "--reason", "leaving", **options)


@pytest.mark.sanitizers
def test_a_service_is_released(group, world):
    """The fence goes, everything keeps serving, nothing acts on it; then it may leave the spec."""
    assert len(marks(world)) == 1
    done = release(group)
    assert "unmark" in done.stdout and "done" in done.stdout, done
    assert marks(world) == []
    assert world.dig() == [noctua.ADDRESSES[HOME]]
    for node in group.nodes.values():
        assert serves(node, HOME) == (200, f"KEEP-{HOME}")
        assert serves(node, OTHER) == (503, f"EVICT-{OTHER}")
    wait_for_state(group, "released")
    refused = group.ctl("failover", "nocturnal", "--to", OTHER, "--yes", check=False)
    assert refused.returncode == 3 and "released" in refused.stderr, refused
    world.region(HOME, "refuse")
    noctua.wait_until(lambda: group.votes(HOME).get("verdict") == "down", 20, "it is seen down")
    assert group.service()["state"] == "released"
    assert not group.events("suspect")
    world.region(HOME, "up")
    # Without it the spec is another one; the endpoints know it no more.
    head, _, tail = group.spec_text().partition("  nocturnal:")
    group.apply_spec(head + "  another:" + tail)
    assert "nocturnal" not in [s["name"] for s in group.ask("status")["services"]]
    assert serves(group.wait_for_leader(), HOME)[0] == 404
    assert world.dig() == [noctua.ADDRESSES[HOME]]


def test_a_released_service_is_taken_up_again(group, world):
    release(group)
    group.ctl("adopt", "nocturnal", "--yes", "--wait", "30", "--reason", "back")
    assert len(marks(world)) == 1
    wait_for_state(group, "ok")
    group.ctl("failover", "nocturnal", "--to", OTHER, "--yes", "--wait", "30")
    assert world.dig() == [noctua.ADDRESSES[OTHER]]
    assert [m["kind"] for m in group.ask("history")["moves"]] == [
        "failover", "adopt", "release", "adopt"]


def test_what_a_release_refuses(group, world):
    for arguments in (["release"], ["release", "nocturnal"],
                      ["release", "nocturnal", "--step", "dns", "--service", "nocturnal"]):
        done = group.ctl(*arguments, "--reason", "x", check=False)
        assert done.returncode == 2 and "--service SERVICE" in done.stderr, done
    group.pki("issue", "user", "olga", "--role", "operator", "--out", str(group.user("olga")))
    done = release(group, user="olga", check=False)
    assert done.returncode == 9, done
    assert len(marks(world)) == 1
    done = group.ctl("release", "--service", "nothing", "--yes", "--reason", "x", check=False)
    assert done.returncode == 2 and "nothing" in done.stderr, done


def test_a_record_is_repaired(group, world):
    world.edit({"set": {"Name": f"{noctua.DOMAIN}.", "Type": "A", "TTL": 60,
                        "Values": ["198.51.100.7"]}})
    done = group.ctl("repair", "nocturnal", "--yes", "--wait", "30", "--reason", "INC-1")
    assert "done" in done.stdout, done
    assert world.dig() == [noctua.ADDRESSES[HOME]]
    told = group.ctl("explain", "nocturnal").stdout
    assert "REPAIRED: epoch 2" in told, told
    assert [e["kind"] for e in group.events("intent")], "history says what it changed"


def test_a_repair_without_a_fence_is_refused(group, world):
    """Nothing at the target would refuse a late request."""
    name = marks(world)[0]["Name"]
    world.edit({"delete": {"Name": name, "Type": "TXT"}})
    done = group.ctl("repair", "nocturnal", "--yes", "--wait", "30", "--reason", "x", check=False)
    assert done.returncode == 6, done
    assert "noctuactl adopt nocturnal" in group.ctl("status", "nocturnal").stdout
