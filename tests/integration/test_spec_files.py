"""A spec that is split over the files of a directory, one a service: as one, and errors in their own."""

import subprocess

import noctua
import pytest

MAIN = """version: 1
regions:
  us-east-1: {}
  us-west-2: {}
  eu-west-1: {role: witness}
"""


def service(name, indent="  ", confirm="30s", more=""):
    lines = f"""{name}:
  mode: auto
  home: us-east-1
  checks:
    api: {{url: 'https://$region.{name}.example.com/health'}}
  policy: {{confirm: {confirm}}}
{more}"""
    return "".join(f"{indent}{line}\n" for line in lines.splitlines() if line)


def ctl(*arguments):
    return subprocess.run([str(noctua.NOCTUACTL), *map(str, arguments)], capture_output=True,
                          text=True, timeout=30, check=False)


def write(directory, **files):
    directory.mkdir(exist_ok=True)
    for name, text in files.items():
        (directory / f"{name}.yaml").write_text(text)
    return directory


def test_one_file_a_service(tmp_path):
    """Whatever their indentation; what isn't YAML is left alone."""
    split = write(tmp_path / "split", main=MAIN, web="services:\n" + service("web"),
                  data="version: 1\n# ours\nservices:\n\n# the database\n" + service("data", "      "))
    (split / "README.md").write_text("not a spec")
    (split / ".hidden.yaml").write_text("[")
    whole = tmp_path / "whole.yaml"
    whole.write_text(MAIN + "services:\n" + service("data") + service("web"))
    done = ctl("spec", "validate", split)
    assert done.returncode == 0 and f"{split} is good" in done.stdout, done
    same = ctl("spec", "diff", split, "--against", whole)
    assert same.returncode == 0 and same.stdout == "", same


def test_services_in_the_main_file_too(tmp_path):
    split = write(tmp_path / "split", main=MAIN + "services:\n" + service("web", "    "),
                  data="services:\n" + service("data"))
    whole = tmp_path / "whole.yaml"
    whole.write_text(MAIN + "services:\n" + service("data") + service("web"))
    assert ctl("spec", "validate", split).returncode == 0
    assert ctl("spec", "diff", whole, "--against", split).returncode == 0


def test_an_error_is_told_where_it_was_written(tmp_path):
    """File, line and column are those of the part, not of the whole."""
    split = write(tmp_path / "split", main=MAIN, a="services:\n" + service("web"),
                  z="# ours\nservices:\n" + service("data", "        ", confirm="soon"))
    done = ctl("spec", "validate", split)
    assert done.returncode == 2
    (line,) = [line for line in done.stderr.splitlines() if "error" in line]
    text = (split / "z.yaml").read_text().splitlines()
    assert line.startswith(f"{split}/z.yaml:8:{text[7].index('soon') + 1}: error: confirm:"), line


@pytest.mark.parametrize("files, words", [
    ({"a": "services:\n" + service("web")}, "must have `regions`"),
    ({"a": MAIN, "b": MAIN}, "must have `regions`"),
    ({}, "is a directory without .yaml files"),
    ({"main": MAIN, "web": "services: {}\n"}, "web.yaml: error: `services:` with one or more"),
    ({"main": MAIN, "web": "{services: {web: {}}}\n"}, "web.yaml: error: `services:` with one"),
    ({"main": MAIN, "web": ""}, "web.yaml: error: `services:` with one or more"),
    ({"main": MAIN, "web": "runbooks: {}\nservices:\n" + service("web")},
     "web.yaml:1:1: error: 'runbooks' belongs into"),
    ({"main": "services:\n" + service("web") + MAIN, "data": "services:\n" + service("data")},
     "main.yaml:1:1: error: other files add services"),
    ({"main": MAIN + "services: {}\n", "data": "services:\n" + service("data")},
     "main.yaml:6:11: error: other files add services"),
    ({"main": MAIN, "a": "services:\n" + service("web"), "b": "services:\n" + service("web")},
     "b.yaml:2:3: error"),
    ({"main": MAIN, "web": "services: [\n"}, "web.yaml:2"),
], ids=range(11))
def test_what_does_not_fit_together(tmp_path, files, words):
    done = ctl("spec", "validate", write(tmp_path / "split", **files))
    assert done.returncode == 2, done
    assert words in done.stderr, done.stderr


def test_it_is_applied_as_one(bare_group, tmp_path):
    split = write(tmp_path / "split", main=MAIN, web="services:\n" + service("web"),
                  data="services:\n" + service("data"))
    bare_group.ctl("spec", "apply", split)
    names = {s["name"] for s in bare_group.ask("status")["services"]}
    assert names == {"web", "data"}
    assert bare_group.ctl("spec", "diff", split).returncode == 0
