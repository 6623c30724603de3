"""Nodes watch replica sets of real servers: what they show, when it changes, and what hangs."""

import json
import subprocess

import mongod
import noctua
import pytest

EAST, WEST, EU = noctua.REGIONS
PASSWORD = "correct-horse-battery"
WRONG = "wrong-staple"
KEY = "c2VjcmV0a2V5Zm9ydGVzdHM" * 3

# The least that watching takes (docs/mongodb.md).
ACTIONS = ["replSetGetStatus", "replSetGetConfig"]
PRIVILEGES = [
    {"resource": {"cluster": True}, "actions": ACTIONS},
    {"resource": {"db": "local", "collection": "oplog.rs"}, "actions": ["find"]},
    {"resource": {"db": "nocturnal", "collection": "noctua"}, "actions": ["update", "insert"]},
]


def section(replica_set, more="", options=""):
    return f"""    mongo:
      uri: {replica_set.uri}{options}
      write_check: nocturnal.noctua
      interval: 500ms
      timeout: 400ms
{more}"""


def watch(group, replica_set, more="", options=""):
    """Observed only: nothing here is about moving. The set comes to a service that is adopted."""
    group.apply_spec(mode="observe")
    group.adopt()
    group.apply_spec(mode="observe", extra=section(replica_set, more, options))


def known(group, nodes=None):
    done = group.ctl("status", "nocturnal", "-o", "json", check=False, nodes=nodes)
    return json.loads(done.stdout)["mongo"] if done.returncode == 0 else None


def member(group, which):
    shown = known(group)
    rows = [] if shown is None else shown["members"]
    return next((m for m in rows if m["host"] == which.host), {"state": None, "trouble": None})


def rate(group):
    """Writes a second; None: unknown."""
    return (known(group) or {}).get("writes_per_s")


def primary(node):
    status, text, _ = node.get("/services/nocturnal/primary")
    return status, text.strip()


def all_say(group, *answers):
    return all(primary(node) in answers for node in group.nodes.values())


@pytest.mark.parametrize("version", mongod.VERSIONS)
def test_a_set_is_followed(bare_group, tmp_path, version):
    with mongod.running(tmp_path / "set", version, [EAST, WEST, EU]) as replica_set:
        first = replica_set.members[0]
        watch(bare_group, replica_set)
        noctua.wait_until(lambda: all_say(bare_group, (200, EAST)), 20, "the primary is seen")
        bare_group.wait_for_health()
        noctua.wait_until(lambda: (known(bare_group) or {}).get("write_age_ms") is not None, 10,
                          "a majority write")
        noctua.wait_until(lambda: all(m["lag_ms"] is not None for m in
                                      (known(bare_group) or {}).get("members", [{"lag_ms": None}])),
                          20, "everybody's lag is known")
        shown = known(bare_group)
        assert shown["primary"] == first.host and shown["primary_region"] == EAST
        assert {m["host"]: (m["region"], m["state"]) for m in shown["members"]} == {
            m.host: (replica_set.regions[i], "PRIMARY" if i == 0 else "SECONDARY")
            for i, m in enumerate(replica_set.members)}
        assert [m["priority"] for m in shown["members"]] == [2, 1, 1]
        assert all(m["lag_ms"] is not None and m["trouble"] is None for m in shown["members"])
        table = bare_group.ctl("status", "nocturnal").stdout
        assert f"{first.host} takes writes, in {EAST}" in table
        metrics = bare_group.nodes["n1"].get("/metrics")[1]
        assert 'noctua_mongo_members_answering{service="nocturnal"} 3' in metrics

        def written_fast():
            """The canaries make about three a second; this some hundreds."""
            with first.client() as client:
                for start in range(0, 100, 50):
                    client.app.orders.insert_many([{"n": start + i} for i in range(50)])
                client.app.orders.update_one({"n": 7}, {"$inc": {"count": 1}})
                client.app.orders.delete_one({"n": 8})
            return (rate(bare_group) or 0) > 20

        noctua.wait_until(written_fast, 60, "writes are counted")
        assert " writes/s\n" in bare_group.ctl("status", "nocturnal").stdout

        first.kill()
        noctua.wait_until(lambda: any(primary(n)[0] == 503 for n in bare_group.nodes.values()), 20,
                          "no primary")
        noctua.wait_until(lambda: all_say(bare_group, (200, WEST), (200, EU)), 40,
                          "another primary is seen")
        assert replica_set.primary(besides=[first]) is not None
        lost = noctua.wait_until(lambda: member(bare_group, first)["trouble"] and
                                 member(bare_group, first), 10, "the dead one is told")
        assert (lost["trouble"], lost["state"]) == ("refused", "UNKNOWN")
        assert lost["lag_ms"] is not None  # its last known place counts, with its age
        noctua.wait_until(lambda: bare_group.votes(EAST).get("verdict") == "down", 20,
                          "a region without a member that answers is down")
        worst = noctua.wait_until(lambda: bare_group.votes(EAST)["worst"], 10, "why")
        assert (worst["check"], worst["code"]) == ("mongo", "refused")
        assert bare_group.votes(WEST)["verdict"] == "up"

        first.start()
        noctua.wait_until(lambda: member(bare_group, first)["state"] in ("SECONDARY", "PRIMARY"),
                          40, "it is back")


@pytest.mark.parametrize("version", mongod.VERSIONS)
def test_no_majority_is_no_primary(bare_group, tmp_path, version):
    """The active region's member answers, and still nobody takes writes there."""
    with mongod.running(tmp_path / "set", version, [EAST, WEST, WEST]) as replica_set:
        watch(bare_group, replica_set)
        bare_group.wait_for_health()
        ready = bare_group.ctl("ready", "nocturnal", check=False).stdout
        assert f"losing {WEST} loses the replica set's majority" in ready
        for other in replica_set.members[1:]:
            other.kill()
        noctua.wait_until(lambda: all_say(bare_group, (503, "no primary takes writes")), 40,
                          "nobody says that writes go through")
        noctua.wait_until(lambda: (bare_group.votes(EAST).get("worst") or {}).get("code") ==
                          "no_primary", 20, "why")
        noctua.wait_until(lambda: bare_group.votes(EAST)["verdict"] == "down", 20, "it is down")
        assert member(bare_group, replica_set.members[0])["state"] == "SECONDARY"


@pytest.mark.parametrize("version", mongod.VERSIONS)
def test_a_hung_member_delays_nobody(bare_group, tmp_path, version):
    with mongod.running(tmp_path / "set", version, [EAST, WEST, EU]) as replica_set:
        hung = replica_set.members[2]
        watch(bare_group, replica_set)
        noctua.wait_until(lambda: all_say(bare_group, (200, EAST)), 20, "the primary is seen")
        hung.stop()
        noctua.wait_until(lambda: member(bare_group, hung)["trouble"] in
                          ("timeout", "timeout_connect"), 20, "it is told")
        begun = member(bare_group, hung)["age_ms"]
        oldest = []

        def looked_long_enough():
            """Ten rounds later the others are as freshly known as ever."""
            shown = known(bare_group)
            others = [m for m in shown["members"] if m["host"] != hung.host]
            oldest.append(max(m["age_ms"] for m in others))
            assert all_say(bare_group, (200, EAST))
            return member(bare_group, hung)["age_ms"] >= begun + 5000

        noctua.wait_until(looked_long_enough, 30, "ten rounds")
        # Interval, jitter and timeout of a round, and a second until the report.
        assert max(oldest) < (500 * 1.1 + 400 + 1000) * noctua.PATIENCE, oldest
        hung.resume()
        noctua.wait_until(lambda: member(bare_group, hung)["trouble"] is None, 20, "it is back")


@pytest.mark.parametrize("version", mongod.VERSIONS)
def test_credentials(bare_group, tmp_path, version):
    """SCRAM with the least privileges; a wrong password is told as such, and nobody logs it."""
    secrets = [n.directory / "secrets" / "mongo" for n in bare_group.nodes.values()]
    with mongod.running(tmp_path / "set", version, [EAST, WEST, EU], key=KEY) as replica_set:
        first = replica_set.members[0]
        replica_set.add_user("root", PASSWORD, "root")
        replica_set.login = {"username": "root", "password": PASSWORD, "authSource": "admin"}
        counting = {"resource": {"cluster": True}, "actions": [*ACTIONS, "serverStatus"]}
        first.command("createRole", "noctuaWatch", privileges=[counting, *PRIVILEGES[1:]], roles=[],
                      login=replica_set.login)
        replica_set.add_user("noctua", PASSWORD, "noctuaWatch", login=replica_set.login)
        for secret in secrets:
            secret.write_text(f"noctua:{WRONG}\n")
        watch(bare_group, replica_set, "      credentials: file:mongo\n")
        noctua.wait_until(lambda: member(bare_group, first)["trouble"] == "auth", 20, "it is told")
        ready = bare_group.ctl("ready", "nocturnal", check=False).stdout
        assert "the server refuses the credentials" in ready
        # Our own trouble is no evidence against a region.
        assert bare_group.votes(EAST)["verdict"] == "unknown"
        for secret in secrets:
            secret.write_text(f"noctua:{PASSWORD}\n")
        noctua.wait_until(lambda: all_say(bare_group, (200, EAST)), 20, "the primary is seen")
        bare_group.wait_for_health()
        noctua.wait_until(lambda: (known(bare_group) or {}).get("write_age_ms") is not None, 20,
                          "a majority write")
        noctua.wait_until(lambda: (known(bare_group) or {"write_trouble": ""})["write_trouble"] is
                          None, 20, "by each node")
        assert [m["trouble"] for m in known(bare_group)["members"]] == [None, None, None]
        # The rate is told to who may ask; that it is no trouble to who mayn't, other tests show.
        noctua.wait_until(lambda: rate(bare_group) is not None, 60, "the rate")
        for node in bare_group.nodes.values():
            assert WRONG not in node.process.text() and PASSWORD not in node.process.text()


@pytest.mark.parametrize("version", mongod.ALL)
def test_a_set_that_comes_later_has_no_fence(paged_group, receiver, tmp_path, version):
    """A move's `prefer` would be refused: that is known, and paged, before it is needed."""
    group = paged_group

    def fence():
        rows = json.loads(group.ctl("ready", "nocturnal", "-o", "json", check=False).stdout)["rows"]
        row = next(r for r in rows if r["what"] == "mongo fence")
        return row["result"], row["value"]

    with mongod.running(tmp_path / "set", version, [EAST, WEST, EU]) as replica_set:
        watch(group, replica_set)
        noctua.wait_until(lambda: fence() == ("FAIL", "the fence is gone, not this service's"), 20,
                          "it is told")
        paged = noctua.wait_until(lambda: [b for b in receiver.bodies("/hook")
                                           if b["key"] == "test/foreign_change" and
                                           b["action"] == "trigger"], 20, "it is paged")
        assert "replica set: the fence is gone" in paged[0]["summary"]
        assert "noctuactl adopt nocturnal" in paged[0]["summary"]
        group.adopt()
        noctua.wait_until(lambda: fence()[0] == "pass", 20, "adopted again")
        assert "as it should be" in fence()[1]
        noctua.wait_until(lambda: receiver.actions("/hook", "test/foreign_change")[-1] == "resolve",
                          20, "it is over")


def openssl(*arguments):
    subprocess.run(["openssl", *[str(a) for a in arguments]], check=True, capture_output=True,
                   timeout=60)


def issue(folder, name, subject):
    """name.pem: certificate and key, by an authority that ca.pem is the certificate of."""
    ca, key, request = folder / "ca.pem", folder / f"{name}.key", folder / f"{name}.csr"
    if not ca.exists():
        openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", folder / "ca.key",
                "-out", ca, "-subj", "/O=test/CN=ca", "-days", "2")
    openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", request, "-subj",
            subject)
    names = folder / "names"
    names.write_text("subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth,clientAuth\n")
    openssl("x509", "-req", "-in", request, "-CA", ca, "-CAkey", folder / "ca.key",
            "-CAcreateserial", "-out", folder / f"{name}.crt", "-days", "2", "-extfile", names)
    both = folder / f"{name}.pem"
    both.write_text((folder / f"{name}.crt").read_text() + key.read_text())
    return both


@pytest.mark.parametrize("version", [v for v in mongod.VERSIONS if v != "4.4"])
def test_certificates(bare_group, tmp_path, version):
    """TLS, and MONGODB-X509 instead of a password. (The 4.4 of these tests has no TLS.)"""
    tls = tmp_path / "tls"
    tls.mkdir()
    server = issue(tls, "server", "/O=test/OU=servers/CN=db")
    issue(tls, "client", "/O=test/OU=clients/CN=noctua")
    arguments = ["--sslMode", "requireSSL", "--sslPEMKeyFile", server, "--sslCAFile",
                 tls / "ca.pem", "--sslAllowInvalidHostnames"]  # its peers are addresses
    connection = {"tls": True, "tlsCAFile": str(tls / "ca.pem"),
                  "tlsCertificateKeyFile": str(tls / "client.pem")}
    with mongod.running(tmp_path / "set", version, [EAST, WEST, EU], key=KEY, arguments=arguments,
                        connection=connection) as replica_set:
        first = replica_set.members[0]
        replica_set.add_user("root", PASSWORD, "root")
        login = {"username": "root", "password": PASSWORD, "authSource": "admin"}
        first.command("createRole", "noctuaWatch", privileges=PRIVILEGES, roles=[], login=login)
        with first.client(**login) as client:
            client["$external"].command("createUser", "CN=noctua,OU=clients,O=test",
                                        roles=[{"role": "noctuaWatch", "db": "admin"}])
        options = "&tls=true&tlsCAFile=ca.pem&tlsCertificateKeyFile=client.pem"
        watch(bare_group, replica_set, options=options + "&authMechanism=MONGODB-X509")
        noctua.wait_until(lambda: member(bare_group, first)["trouble"] == "credentials", 20,
                          "files that aren't there yet")
        for node in bare_group.nodes.values():
            for name in ("ca.pem", "client.pem"):
                (node.directory / "secrets" / name).write_text((tls / name).read_text())
        noctua.wait_until(lambda: all_say(bare_group, (200, EAST)), 20, "the primary is seen")
        noctua.wait_until(lambda: (known(bare_group) or {}).get("write_age_ms") is not None, 20,
                          "a majority write")
        # Another authority is not trusted.
        other = tmp_path / "other"
        other.mkdir()
        issue(other, "client", "/O=other/CN=x")
        for node in bare_group.nodes.values():
            (node.directory / "secrets" / "other.pem").write_text((other / "ca.pem").read_text())
        options = options.replace("ca.pem", "other.pem")
        bare_group.apply_spec(mode="observe", extra=section(replica_set, options=options))
        noctua.wait_until(lambda: member(bare_group, first)["trouble"] == "tls", 20, "refused")
        assert all_say(bare_group, (503, "no primary takes writes"))
