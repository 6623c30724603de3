import contextlib
import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import noctua  # noqa: E402
from receiver import Receiver  # noqa: E402


# Of the tests with replica sets those that are run when nobody asks for all (make test-mongo): each
# script once, and each kind of server somewhere.
SHORT = {
    "test_mongo_watch.py": {
        "test_a_set_is_followed[3.6]", "test_a_hung_member_delays_nobody[4.4]",
        "test_no_majority_is_no_primary[4.4]", "test_credentials[3.6]", "test_certificates[3.6]",
        "test_a_set_that_comes_later_has_no_fence[world-4.4]",
    },
    "test_mongo_move.py": {
        "test_handover_and_back[world-3.6]", "test_handover_and_back[4.4]",
        "test_region_dies[world-4.4]", "test_region_dies[3.6]",
        "test_majority_lost_is_for_a_person[world-4.4]", "test_only_laggards_are_left[world-3.6]",
        "test_least_privileges[4.4]", "test_region_that_is_left_is_up",
        "test_double_failure[world-4.4]", "test_somebody_else_promotes[world-3.6]",
        "test_primary_goes_to_and_fro[world-4.4]",
        "test_a_refused_step_pages_while_the_move_goes_on",
        "test_primary_is_followed[world-4.4]",
    },
    "test_mongo_forced.py": {
        "test_forced_and_back[4.4]", "test_a_declaration_is_checked[world-3.6]",
        "test_leader_killed_at[world-4.4-after-reply]",
    },
    "test_mongo_races.py": {
        "test_somebody_changes_the_config_meanwhile[world-4.4]",
        "test_a_late_step_up_heals_by_itself[world-3.6]",
        "test_how_a_forced_config_counts[world-3.6]", "test_how_a_forced_config_counts[world-4.4]",
        "test_how_a_forced_config_counts[3.6]", "test_how_a_forced_config_counts[4.4]",
    },
    "test_mongo_boundaries.py": {
        "test_leader_killed_at[4.4-after-attempt-prefer]",
        "test_leader_killed_at[4.4-after-send-promote]",
    },
}


def pytest_configure(config):
    config.addinivalue_line("markers", "sanitizers: run again under ASan and UBSan")


def pytest_collection_modifyitems(config, items):
    if os.environ.get("NOCTUA_MONGO") == "all":
        return
    left = [i for i in items if i.path.name in SHORT and "none" not in i.name
            and i.name not in SHORT[i.path.name]]
    config.hook.pytest_deselected(items=left)
    items[:] = [i for i in items if i not in left]


@contextlib.contextmanager
def running_world(directory, *arguments):
    world = noctua.World(directory, arguments=arguments).start()
    try:
        yield world
    finally:
        world.process.terminate()


@contextlib.contextmanager
def running_group(directory, world, prepare=None, **config):
    """Three nodes, running, without a spec. The invariants are asserted at the end."""
    group = noctua.Group(directory, world).make(**config)
    if prepare is not None:
        prepare(group)
    complaints = []
    try:
        yield group.start()
        group.check()
    finally:
        complaints = group.end()
    assert not complaints, "\n".join(complaints)


def serve(group, **settings):
    """The usual service, adopted, mode auto, everything seen up."""
    group.apply_spec(**settings)
    group.adopt()
    group.wait_for_health()
    return group


@pytest.fixture
def world(tmp_path):
    with running_world(tmp_path / "world") as world:
        yield world


@pytest.fixture
def bare_group(tmp_path, world):
    with running_group(tmp_path / "group", world) as group:
        yield group


@pytest.fixture
def group(bare_group):
    return serve(bare_group)


@pytest.fixture
def receiver():
    receiver = Receiver()
    yield receiver
    receiver.end()


@pytest.fixture
def paged_group(tmp_path, world, receiver):
    """Its nodes page the receiver's /hook, and look at their targets all the time. No spec yet."""
    def prepare(group):
        for node in group.nodes.values():
            with open(node.config, "a", encoding="utf-8") as config:
                config.write(f"alarm: {{url: {receiver.url}/hook}}\n")

    with running_group(tmp_path / "group", world, prepare, inspect="200ms") as group:
        yield group
