"""What comes from the tables: completion, the manual, the pages of docs/, the schema; and spec diff."""

import json
import re
import subprocess
from pathlib import Path

import jsonschema
import noctua
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]

SPEC = """version: 1
regions:
  us-east-1: {}
  us-west-2: {risk_group: pacific}
  eu-west-1: {role: witness}
services:
  nocturnal:
    owner: platform
    mode: auto
    home: us-east-1
    targets: [us-west-2]
    checks:
      api:
        url: https://$region.api.example.com/health
        expect: 200
        match: '"ok":true'
        interval: 2s
        critical: true
      cache: {url: {us-east-1: "tcp://a.example.com:1", us-west-2: "tcp://b.example.com:1"}, critical: false}
    dns:
      zone: Z1234567890ABC
      mode: [records]
      records:
        example.com:
          alias:
            us-east-1: dualstack.web-1.us-east-1.elb.amazonaws.com
            us-west-2: dualstack.web-2.us-west-2.elb.amazonaws.com
        txt.example.com: {values: {us-east-1: east, us-west-2: west}, type: TXT, ttl: 30s}
    policy: {confirm: 30s, max_moves: 2/24h, lease: none}
    objectives: {api: {rto: 15m}}
  reports:
    home: us-east-1
    checks: {web: {url: "tcp://$region.reports.example.com:80"}}
    dns: none
"""


def ctl(*arguments):
    return subprocess.run([str(noctua.NOCTUACTL), *map(str, arguments)], capture_output=True,
                          text=True, timeout=30, check=False)


def table():
    """The commands and options, as --help has them."""
    text = ctl("--help").stdout
    commands = re.findall(r"^  ([a-z][a-z -]*?)(?: [A-Z\[|a-z]*)*  +\S", text.split("Commands:")[1], re.M)
    options = re.findall(r"--([a-z-]+)", text.split("Commands:")[0])
    assert len(commands) > 20 and len(options) > 20
    return commands, set(options) - {"usage"}


def complete(*words):
    """What bash offers for the last of the words."""
    script = ctl("completion", "bash").stdout
    quoted = " ".join(f"'{w}'" for w in ["noctuactl", *words])
    done = subprocess.run(
        ["bash", "-c", f"{script}\nCOMP_WORDS=({quoted}); COMP_CWORD={len(words)}; _noctuactl\n"
         'printf "%s\\n" "${COMPREPLY[@]}"'],
        capture_output=True, text=True, check=True, timeout=30,
    )
    assert done.stderr == ""
    return set(done.stdout.split())


def test_bash_completion():
    assert {"status", "failover", "spec", "pki", "nodes"} <= complete("")
    assert complete("fail") == {"failover"}
    assert complete("spec", "") == {"validate", "apply", "get", "diff", "history",
                                     "rollback", "schema"}
    assert complete("nodes", "") == {"add", "remove", "replace"}
    assert complete("nodes", "add", "n4", "--re") == {"--reason"}
    assert "--to" in complete("failover", "--")
    assert "--to" not in complete("veto", "--")
    assert complete("completion", "") == {"bash", "zsh"}
    for command in {c.split()[0] for c in table()[0]}:
        assert command in complete(command[:3])


def test_zsh_completion(tmp_path):
    script = tmp_path / "_noctuactl"
    script.write_text(ctl("completion", "zsh").stdout)
    done = subprocess.run(["zsh", "-n", str(script)], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and done.stderr == ""
    assert "'spec apply:" in script.read_text()


def test_manual(tmp_path):
    page = tmp_path / "noctuactl.1"
    page.write_text(ctl("reference", "man").stdout)
    done = subprocess.run(["man", "-l", "--warnings", str(page)], capture_output=True, text=True,
                          check=True, env={"MANWIDTH": "200", "PATH": "/usr/bin:/bin", "LC_ALL": "C"})
    assert done.stderr == ""
    commands, options = table()
    for word in commands:
        assert re.search(rf"^ +{re.escape(word)}\b", done.stdout, re.M), word
    for option in options - {"help", "version"}:
        assert f"--{option}" in done.stdout, option


def test_manual_of_the_daemon(tmp_path):
    """Every option of its help, every key of the configuration."""
    def noctuad(*arguments):
        return subprocess.run([str(noctua.NOCTUAD), *arguments], capture_output=True, text=True,
                              check=True).stdout

    page = tmp_path / "noctuad.8"
    page.write_text(noctuad("--print-manual"))
    done = subprocess.run(["man", "-l", "--warnings", str(page)], capture_output=True, text=True,
                          check=True, env={"MANWIDTH": "200", "PATH": "/usr/bin:/bin", "LC_ALL": "C"})
    assert done.stderr == ""
    for option in set(re.findall(r"--([a-z-]+)", noctuad("--help"))) - {"help", "usage", "version"}:
        assert f"--{option}" in done.stdout, option
    keys = re.findall(r"^\| `([a-z_.]+)` \|", noctuad("--print-config-reference"), re.M)
    assert len(keys) > 20
    for key in keys:
        assert re.search(rf"^ +{re.escape(key)}\b", done.stdout, re.M), key
    assert "bootstrap" in done.stdout and "SIGHUP" in done.stdout


@pytest.mark.parametrize("page, form", [("cli.md", "markdown"), ("configuration.md", "configuration")])
def test_pages_are_as_the_tables_are(page, form):
    assert (ROOT / "docs" / page).read_text() == ctl("reference", form).stdout, "make reference"


def test_unknown_forms():
    for words in (["completion", "fish"], ["reference", "html"]):
        done = ctl(*words)
        assert done.returncode == 2 and words[1] in done.stderr


# --- the schema


def validator():
    schema = json.loads(ctl("spec", "schema").stdout)
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def test_schema_takes_what_the_group_takes(tmp_path):
    path = tmp_path / "spec.yaml"
    path.write_text(SPEC)
    assert ctl("spec", "validate", path).returncode == 0, ctl("spec", "validate", path).stderr
    errors = [e.message for e in validator().iter_errors(yaml.safe_load(SPEC))]
    assert errors == []


@pytest.mark.parametrize("old, new", [
    ("mode: auto", "mode: automatic"),
    ("interval: 2s", "interval: 2"),
    ("critical: false}", "critcal: false}"),
    ("version: 1", "version: 2"),
    ("    home: us-east-1\n    targets", "    targets"),
    ("type: TXT", "type: MX"),
    ("max_moves: 2/24h", "max_moves: often"),
    ("{rto: 15m}", "{rto: 15m, rpo: 1h}"),
    ("risk_group: pacific", "risk_group: The Pacific"),
    ("lease: none", "lease: soon"),
])
def test_schema_refuses_what_the_group_refuses(tmp_path, old, new):
    assert old in SPEC
    path = tmp_path / "spec.yaml"
    path.write_text(SPEC.replace(old, new))
    assert ctl("spec", "validate", path).returncode == 2
    assert list(validator().iter_errors(yaml.safe_load(SPEC.replace(old, new))))


# --- spec diff


def test_spec_diff_offline(tmp_path):
    old, new = tmp_path / "old.yaml", tmp_path / "new.yaml"
    old.write_text(SPEC)
    new.write_text("# another layout, the same meaning\n" + SPEC.replace("regions:\n", "regions:\n\n"))
    done = ctl("spec", "diff", new, "--against", old)
    assert (done.returncode, done.stdout) == (0, "")
    new.write_text(SPEC.replace("confirm: 30s", "confirm: 20s").replace("    owner: platform\n", "")
                   .replace("dns: none", "policy: {cooldown: 1h}"))
    done = ctl("spec", "diff", new, "--against", old)
    assert done.returncode == 10
    assert done.stdout.splitlines() == [
        "- services.nocturnal.owner: platform",
        "~ services.nocturnal.policy.confirm: 30s -> 20s",
        "- services.reports.dns: none",
        "+ services.reports.policy.cooldown: 1h",
    ]
    done = ctl("spec", "diff", new, "--against", old, "-o", "json")
    assert json.loads(done.stdout)["differences"][1] == {
        "path": "services.nocturnal.policy.confirm", "from": "30s", "to": "20s"}
    new.write_text("services: {a: [}")
    done = ctl("spec", "diff", new, "--against", old)
    assert done.returncode == 2 and f"{new}:1:" in done.stderr
    assert ctl("spec", "diff", new, "--against", tmp_path / "none").returncode == 2


def test_spec_diff_with_the_groups(bare_group, tmp_path):
    group = bare_group
    path = tmp_path / "spec.yaml"
    path.write_text(group.spec_text())
    done = group.ctl("spec", "diff", path, check=False)
    assert done.returncode == 3 and "there is no spec yet" in done.stderr, done
    group.apply_spec()
    assert group.ctl("spec", "diff", path).stdout == ""
    path.write_text(group.spec_text(confirm="7s"))
    done = group.ctl("spec", "diff", path, check=False)
    assert (done.returncode, done.stdout) == (
        10, "~ services.nocturnal.policy.confirm: 1s -> 7s\n")
