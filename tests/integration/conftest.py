import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import noctua  # noqa: E402


def pytest_configure(config):
    config.addinivalue_line("markers", "sanitizers: run again under ASan and UBSan")


@pytest.fixture
def world(tmp_path):
    world = noctua.World(tmp_path / "world").start()
    yield world
    noctua.check_ledger(world)
    world.process.terminate()


@pytest.fixture
def bare_group(tmp_path, world):
    """Three nodes, running, without a spec."""
    group = noctua.Group(tmp_path / "group", world).make()
    try:
        yield group.start()
    finally:
        complaints = group.end()
    assert not complaints, "\n".join(complaints)


@pytest.fixture
def group(bare_group):
    """... with the usual service, adopted, mode auto, everything seen up."""
    bare_group.apply_spec()
    bare_group.adopt()
    bare_group.wait_for_health()
    return bare_group
