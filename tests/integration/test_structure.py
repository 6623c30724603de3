"""Left may not include right: what each module's include path shows, and what core touches."""

import json
import re
import shlex
from pathlib import Path

import noctua
import pytest

# module: those left of it (docs/architecture.md)
LEFT = {
    "base": set(),
    "core": {"base"},
    "codec": {"base", "core"},
    "net": {"base", "core", "codec"},
    "mongo": {"base", "core", "codec", "net"},
    "replica": {"base", "core", "codec", "net", "mongo"},
    "probe": {"base", "core", "codec", "net", "mongo"},
    "driver": {"base", "core", "codec", "net", "mongo"},
    "executor": {"base", "core", "codec", "net", "mongo", "replica", "probe", "driver"},
    "api": {"base", "core", "codec", "net", "mongo", "replica", "probe", "driver", "executor"},
}

CORE_MAY_INCLUDE = {"assert.h", "stdbool.h", "stddef.h", "stdint.h", "string.h"}


def shown_modules(command):
    """Modules whose headers an include path of this compile command shows."""
    found = set()
    for word in shlex.split(command):
        match = re.search(r"-I.*coordinator/(\w+)/include$", word)
        if match:
            found.add(match.group(1))
    return found


@pytest.mark.parametrize("module", LEFT)
def test_include_path_shows_only_what_is_left(module):
    commands = json.loads((noctua.BUILD / "compile_commands.json").read_text())
    seen = 0
    for entry in commands:
        path = (Path(entry["directory"]) / entry["file"]).resolve()
        if noctua.ROOT / "coordinator" / module not in path.parents:
            continue
        seen += 1
        extra = shown_modules(entry["command"]) - LEFT[module] - {module}
        assert not extra, f"{path.name} could include {sorted(extra)}"
    assert seen > 0


def test_core_touches_nothing_outside():
    for path in (noctua.ROOT / "coordinator" / "core").rglob("*.[ch]"):
        for line in path.read_text().splitlines():
            match = re.match(r'\s*#\s*include\s+<([^>]+)>', line)
            assert not match or match.group(1) in CORE_MAY_INCLUDE, f"{path.name}: {line}"
            code = re.sub(r'/\*.*|^\s*\*.*|"[^"]*"', "", line)
            called = re.search(
                r"\b(malloc|calloc|realloc|free|time|clock_gettime|rand|random|printf)\s*\(", code
            )
            assert not called, f"{path.name}: {line}"
            assert not re.search(r"\b(float|double)\b", code), f"{path.name}: {line}"
