"""Specs that are refused: each mistake once, with its place and its words; nothing changes."""

import noctua
import pytest
from conftest import running_group, running_world, serve

# name: (what is written instead of what, part of what is said)
MISTAKES = {
    "no version": ("version: 1\n", "", "version"),
    "another version": ("version: 1", "version: 2", "version: this Noctua reads version 1"),
    "unknown key": ("targets: [us-", "target: [us-", "did you mean 'targets'"),
    "key twice": ("mode: auto", "mode: auto\n    mode: observe", "stands here twice"),
    "unknown mode": ("mode: auto", "mode: automatic", "mode"),
    "tab": ("    mode: auto", "\tmode: auto", "a tab: indent with spaces"),
    "alias": ("mode: auto", "mode: *x", "aliases"),
    "anchor": ("mode: auto", "mode: &x auto", "anchors"),
    "tag": ("mode: auto", "mode: !!str auto", "tags"),
    "two documents": ("version: 1", "version: 1\n---\nversion: 1", "second document"),
    "not UTF-8": ("owner: platform", "owner: pl\udcfftform", "UTF-8"),
    "carriage return": ("version: 1\n", "version: 1\r\n", "carriage return"),
    "unknown region": ("home: us-east-1", "home: us-east-2", "there is no region 'us-east-2'"),
    "home is a witness": ("home: us-east-1", "home: eu-west-1", "witness"),
    "target is home": ("targets: [us-west-2]", "targets: [us-east-1]", "is the home"),
    "target is a witness": ("targets: [us-west-2]", "targets: [eu-west-1]", "witness"),
    "target twice": ("targets: [us-west-2]", "targets: [us-west-2, us-west-2]", "twice"),
    "no checks": ("    checks:\n", "    # no\n    checks: {}\n    old:\n", "checks"),
    "not critical": ("expect: 200", "expect: 200\n        critical: false", "none of them is"),
    "no unit": ("confirm: 1s", "confirm: 1", "confirm"),
    "wrong unit": ("confirm: 1s", "confirm: 1x", "confirm"),
    "interval is 0": ("interval: 200ms", "interval: 0s", "interval"),
    "timeout over interval": ("timeout: 150ms", "timeout: 5s", "must be shorter than interval"),
    "fall is 0": ("fall: 3", "fall: 0", "fall"),
    "fall is negative": ("fall: 3", "fall: -1", "fall"),
    "fall is huge": ("fall: 3", "fall: 99999999999999999999", "fall"),
    "no status": ("expect: 200", "expect: 999", "expect: a status or a range"),
    "zone": (noctua.ZONE, "a zone", "zone: the hosted zone's id alone"),
    "no IPv4": ("[192.0.2.1]", "[192.0.2.256]", "no IPv4 address"),
    "no value for target": ("            us-west-2: [192.0.2.2]", "", "nothing for us-west-2"),
    "values without a type": ("          type: A\n", "", "values need 'type'"),
    "ttl": ("type: A", "type: A\n          ttl: 1500ms", "whole seconds"),
    "max_moves": ("max_moves: 16/1h", "max_moves: 16", "moves/window is wanted"),
    "moved name probed": ("http://127.0.0.1", f"http://{noctua.DOMAIN}", "which this service moves"),
    "scheme": ("http://127.0.0.1", "ftp://127.0.0.1", "can't be probed"),
    "password": ("http://127.0.0.1", "http://me:pw@127.0.0.1", "user or password"),
    "variable": ("http://127.0.0.1", "http://$nothing", "$nothing"),
    "empty": (None, "", ""),
    "a list": (None, "- 1\n- 2\n", "wanted here"),
    "unbalanced": (None, "regions: {a: [}\n", "spec.yaml:1"),
    "deep": (None, "a: " + "[" * 500 + "]" * 500 + "\n", ""),
    "huge": (None, "# " + "x" * (3 << 20) + "\nversion: 1\n", "bytes"),
}


@pytest.fixture(scope="module")
def group(tmp_path_factory):
    with running_world(tmp_path_factory.mktemp("specs")) as world:
        with running_group(tmp_path_factory.mktemp("specs") / "group", world) as group:
            yield serve(group)


def write(group, text):
    path = group.directory / "spec.yaml"
    path.write_bytes(text.encode(errors="surrogateescape"))
    return path


def committed(group):
    return group.ctl("spec", "get").stdout, [e["index"] for e in group.events("spec")]


@pytest.mark.parametrize("name", MISTAKES)
def test_mistake(group, name):
    old, new, words = MISTAKES[name]
    good = group.spec_text()
    assert old is None or old in good, f"the table is out of date: {old}"
    text = new if old is None else good.replace(old, new)
    path = write(group, text)
    before = committed(group)
    applied = group.ctl("spec", "apply", path, check=False)
    assert applied.returncode == 2, applied
    assert words in applied.stderr, applied.stderr
    if old is not None:
        assert "spec.yaml:" in applied.stderr, applied.stderr
    assert committed(group) == before
    # The same words offline.
    offline = group.ctl("spec", "validate", path, check=False)
    assert offline.returncode == 2, offline
    assert words in offline.stderr + offline.stdout


def test_many_mistakes_are_all_told(group):
    text = group.spec_text().replace("fall: 3", "fall: 0").replace("confirm: 1s", "confirm: 1")
    told = group.ctl("spec", "apply", write(group, text), check=False)
    assert told.returncode == 2 and "fall" in told.stderr and "confirm" in told.stderr


@pytest.mark.parametrize("what", ["home", "service removed"])
def test_what_a_live_service_forbids(group, what):
    """Valid in itself, and still refused: users would lose their service."""
    text = group.spec_text()
    if what == "home":
        text = text.replace("home: us-east-1", "home: us-west-2").replace(
            "targets: [us-west-2]", "targets: [us-east-1]")
    else:
        text = text.replace("  nocturnal:", "  another:")
    before = committed(group)
    done = group.ctl("spec", "apply", write(group, text), check=False)
    assert done.returncode == 3, done
    assert committed(group) == before


def test_expected_revision(group):
    """Two people edit at once: the second is told."""
    path = write(group, group.spec_text(confirm="3s"))
    index = committed(group)[1][-1]
    wrong = group.ctl("spec", "apply", path, "--expected", index - 1, check=False)
    assert wrong.returncode == 8, wrong
    right = group.ctl("spec", "apply", path, "--expected", index)
    assert right.returncode == 0
    assert "confirm: 3s" in group.ctl("spec", "get").stdout


def test_dry_run_changes_nothing(group):
    before = committed(group)
    path = write(group, group.spec_text(confirm="4s"))
    group.ctl("spec", "apply", path, "--dry-run")
    assert committed(group) == before


def test_history_and_rollback(group):
    """What was applied is kept, with who and why, and can be had again as a new revision."""
    group.ctl("spec", "apply", write(group, group.spec_text(confirm="6s")), "--reason", "six")
    group.ctl("spec", "apply", write(group, group.spec_text(confirm="7s")), "--reason", "seven")
    rows = group.ask("spec", "history")["revisions"]
    assert [r["reason"] for r in rows[:2]] == ["seven", "six"] and rows[0]["by"] == "alice"
    shown = group.ctl("spec", "history").stdout
    assert f"{rows[0]['index']} *" in shown and "six" in shown
    assert "confirm: 6s" in group.ctl("spec", "get", "--revision", rows[1]["index"]).stdout
    before = committed(group)
    refused = group.ctl("spec", "rollback", check=False, input="no\n")
    assert refused.returncode == 7 and committed(group) == before
    assert "~ services.nocturnal.policy.confirm: 7s -> 6s" in refused.stdout
    group.ctl("spec", "rollback", "--dry-run")
    assert committed(group) == before
    group.ctl("spec", "rollback", input="yes\n")
    after = group.ask("spec", "history")["revisions"]
    assert after[0]["index"] > rows[0]["index"]
    assert after[0]["reason"] == f"back to revision {rows[1]['index']}"
    assert "confirm: 6s" in group.ctl("spec", "get").stdout
    group.ctl("spec", "rollback", "--revision", rows[0]["index"], "--yes", "--reason", "again")
    assert "confirm: 7s" in group.ctl("spec", "get").stdout
    same = group.ctl("spec", "rollback", "--revision", group.ask("spec", "history")["revisions"][0][
        "index"], "--yes", check=False)
    assert same.returncode == 3 and "is the current one" in same.stderr
    unknown = group.ctl("spec", "get", "--revision", 999999, check=False)
    assert unknown.returncode == 2 and "noctuactl spec history" in unknown.stderr


def test_eight_revisions_are_kept(group):
    for i in range(10):
        group.ctl("spec", "apply", write(group, group.spec_text(confirm=f"{i + 1}s")))
    assert len(group.ask("spec", "history")["revisions"]) == 8
