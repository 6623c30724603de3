import contextlib
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import noctua  # noqa: E402
from receiver import Receiver  # noqa: E402


def pytest_configure(config):
    config.addinivalue_line("markers", "sanitizers: run again under ASan and UBSan")


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
