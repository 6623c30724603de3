"""The Route 53 driver against the strict Route 53 of noctua-world: what it reads, what it sends, and
what it makes of every way in which a request can go wrong."""

import itertools
import json
import os
import queue
import subprocess
import threading

import noctua
import pytest

TOOL = noctua.BUILD / "tests" / "unit" / "driver" / "route53-tool"
ZONE = noctua.ZONE
DOMAIN = noctua.DOMAIN
FENCE_NAME = f"_noctua-nocturnal.{DOMAIN}"
EAST, WEST = noctua.ADDRESSES["us-east-1"], noctua.ADDRESSES["us-west-2"]
TARGET = {
    "service": "nocturnal",
    "zone": ZONE,
    "fence_name": FENCE_NAME,
    "records": [{"name": DOMAIN, "type": "A"}],
}


def fence(n):
    return f"test/nocturnal/1.{n}/1"


class Tool:
    """The driver in a process of its own, spoken to in lines of JSON."""

    def __init__(self, environment):
        self.popen = subprocess.Popen(
            [TOOL],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "TOOL_REQUEST_TIMEOUT_MS": "2000", **environment},
        )
        self.ids = itertools.count(1)
        self.replies = {}
        self.arrived = threading.Condition()
        self.errors = []
        self.readers = [
            threading.Thread(target=self._read_replies),
            threading.Thread(target=self._read_errors),
        ]
        for reader in self.readers:
            reader.start()

    def _read_replies(self):
        for line in self.popen.stdout:
            reply = json.loads(line)
            with self.arrived:
                assert reply["id"] not in self.replies, "answered twice"
                self.replies[reply["id"]] = reply
                self.arrived.notify_all()

    def _read_errors(self):
        for line in self.popen.stderr:
            self.errors.append(line)

    def begin(self, what, **arguments):
        number = next(self.ids)
        self.popen.stdin.write(json.dumps({"id": number, "do": what, **arguments}) + "\n")
        self.popen.stdin.flush()
        return number

    def wait(self, number, seconds=20):
        with self.arrived:
            if not self.arrived.wait_for(
                lambda: number in self.replies, seconds * noctua.PATIENCE
            ):
                raise noctua.TimedOut(f"no answer to {number}; {''.join(self.errors)}")
            return self.replies[number]

    def read(self, target=TARGET, change_id=""):
        return self.wait(self.begin("read", target=target, change_id=change_id))

    def begin_send(self, before, after, target=TARGET, states=(None, None), comment=None, ms=10000):
        return self.begin(
            "send",
            target=target,
            fence_before=before,
            fence_after=after,
            state_before=states[0],
            state_after=states[1],
            comment=comment or after,
            deadline_in_ms=ms,
        )

    def send(self, *arguments, **more):
        return self.wait(self.begin_send(*arguments, **more))

    def desired(self, state, values, target=TARGET):
        return self.wait(self.begin("desired", target=target, state=state, values=values))

    def adopt(self, after=None, target=TARGET):
        reply = self.send(None, after or fence(1), target=target)
        assert reply["reply"] == "ACCEPTED", reply
        return reply

    def insync(self, change_id, target=TARGET):
        def asked():
            reading = self.read(target, change_id)
            return reading if reading.get("sync") == "INSYNC" else None

        return noctua.wait_until(asked, 10, "the change is INSYNC")

    def end(self):
        if self.popen.poll() is None:
            self.popen.stdin.close()
        try:
            status = self.popen.wait(20 * noctua.PATIENCE)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            status = self.popen.wait()
        for reader in self.readers:
            reader.join()
        return status


@pytest.fixture
def quiet_world(tmp_path):
    world = noctua.World(tmp_path / "world").start()
    yield world
    world.process.terminate()


def environment_of(world, **more):
    address = world.addresses.get("sts", world.addresses["route53"])
    return {
        **world.aws_environment(),
        "AWS_ENDPOINT_URL_STS": f"http://{address}",
        "HOME": str(world.directory),
        **more,
    }


@pytest.fixture
def tool(quiet_world):
    tool = Tool(environment_of(quiet_world))
    yield tool
    assert tool.end() == 0, "".join(tool.errors)


def records_of(world, name, kind):
    sets = world.control("GET", f"/zones/{ZONE}")["record_sets"]
    return [s for s in sets if s["Name"] == f"{name}." and s["Type"] == kind]


def move(tool, before, after, address, **more):
    """A whole move as the executor does it: read, desired, send."""
    reading = tool.read()
    wanted = tool.desired(reading["state"], [{"action": "values", "text": address}])
    states = (reading["state"], wanted["state"])
    return states, tool.send(before, after, states=states, **more)


# --- reading ------------------------------------------------------------------------------------


@pytest.mark.sanitizers
def test_reads_the_records_without_a_fence(quiet_world, tool):
    reading = tool.read()
    assert reading["fence"] is None
    assert reading["sync"] == "NOT_ASKED"
    assert reading["summary"] == f"{DOMAIN} A {EAST}"
    assert reading["state"] == tool.read()["state"]


def test_a_missing_record_is_named(quiet_world, tool):
    records = [*TARGET["records"], {"name": f"www.{DOMAIN}", "type": "AAAA"}]
    reply = tool.read({**TARGET, "records": records})
    assert reply["error"] == "not found"
    assert f"www.{DOMAIN}. AAAA" in reply["message"]


def test_a_zone_that_does_not_exist(quiet_world, tool):
    reply = tool.read({**TARGET, "zone": "ZNOSUCH"})
    assert reply["error"] == "not found"
    assert "NoSuchHostedZone" in reply["message"]


def test_a_fence_that_somebody_changed_is_a_conflict(quiet_world, tool):
    tool.adopt()
    other = {"Name": f"{FENCE_NAME}.", "Type": "TXT", "TTL": 300, "Values": [f'"{fence(1)}"']}
    quiet_world.edit({"set": other})
    reply = tool.read()
    assert reply["error"] == "changed meanwhile"
    assert FENCE_NAME in reply["message"]


def test_get_change_is_asked_before_the_list(quiet_world, tool):
    change = tool.adopt()["change_id"]
    tool.insync(change)
    assert tool.read(change_id=f"/change/{change}")["sync"] == "INSYNC"
    lists = quiet_world.fault(kind="error", operation="list", status=500, code="X", skip=1000)
    quiet_world.fault(kind="error", operation="getchange", status=500, code="InternalFailure")
    assert tool.read(change_id=change)["error"] == "unavailable"
    assert quiet_world.control("GET", f"/faults/{lists}")["matched"] == 0


def test_an_unknown_change(quiet_world, tool):
    assert tool.read(change_id="CNOSUCHCHANGE")["sync"] == "NO_SUCH_CHANGE"


def test_a_zone_of_several_pages(tmp_path):
    world = noctua.World(tmp_path / "world")
    sets = json.loads(world.records.read_text())
    for i in range(700):
        sets[ZONE].append({"Name": f"h{i:04}.{DOMAIN}.", "Type": "A", "TTL": 60, "Values": [WEST]})
    names = [f"*.wild.{DOMAIN}", f"zz.{DOMAIN}"]
    for name in names:
        sets[ZONE].append({"Name": f"{name}.", "Type": "A", "TTL": 60, "Values": [EAST]})
    world.records.write_text(json.dumps(sets))
    world.start()
    tool = Tool(environment_of(world))
    try:
        target = {**TARGET, "records": [{"name": n, "type": "A"} for n in [*names, DOMAIN]]}
        tool.adopt(target=target)
        reading = tool.read(target)
        assert reading.get("fence") == fence(1), reading
        assert "\\052.wild" in reading["state"]
        assert reading["state"].count("<ResourceRecordSet>") == 3
    finally:
        assert tool.end() == 0
        world.process.terminate()


# --- changing -----------------------------------------------------------------------------------


@pytest.mark.sanitizers
def test_adopt_move_and_back(quiet_world, tool):
    adopted = tool.adopt()
    assert tool.insync(adopted["change_id"])["fence"] == fence(1)
    states, sent = move(tool, fence(1), fence(2), WEST)
    assert sent["reply"] == "ACCEPTED", sent
    reading = tool.insync(sent["change_id"])
    assert reading["fence"] == fence(2)
    assert reading["state"] == states[1], "what is read is byte for byte what was wanted"
    assert quiet_world.dig() == [WEST]
    _, sent = move(tool, fence(2), fence(3), EAST)
    assert sent["reply"] == "ACCEPTED", sent
    assert [e["fence_after"] for e in quiet_world.effects()] == [fence(1), fence(2), fence(3)]
    assert [e["comment"] for e in quiet_world.effects()] == [fence(1), fence(2), fence(3)]


def test_a_stale_fence_is_refused(quiet_world, tool):
    tool.adopt()
    _, sent = move(tool, fence(0), fence(2), WEST)
    assert sent["reply"] == "REFUSED"
    assert "values provided do not match the current values" in sent["message"]
    assert not sent["retry_later"]
    assert quiet_world.dig() == [EAST]


def test_stale_records_are_refused_as_a_whole(quiet_world, tool):
    tool.adopt()
    reading = tool.read()
    wanted = tool.desired(reading["state"], [{"action": "values", "text": WEST}])
    other = {"Name": f"{DOMAIN}.", "Type": "A", "TTL": 60, "Values": ["192.0.2.99"]}
    quiet_world.edit({"set": other})
    sent = tool.send(fence(1), fence(2), states=(reading["state"], wanted["state"]))
    assert sent["reply"] == "REFUSED"
    assert tool.read()["fence"] == fence(1)


def test_adopting_twice_is_refused(quiet_world, tool):
    tool.adopt()
    sent = tool.send(None, fence(2))
    assert sent["reply"] == "REFUSED"
    assert "already exists" in sent["message"]


def test_burn_and_touch_leave_the_records(quiet_world, tool):
    tool.adopt()
    state = tool.read()["state"]
    sent = tool.send(fence(1), f"void({fence(2)})")
    assert sent["reply"] == "ACCEPTED"
    assert tool.insync(sent["change_id"])["fence"] == f"void({fence(2)})"
    late_states, late = move(tool, fence(1), fence(2), WEST)
    assert late["reply"] == "REFUSED", "the burnt attempt can't land any more"
    sent = tool.send(f"void({fence(2)})", f"void({fence(2)})")
    assert sent["reply"] == "ACCEPTED"
    reading = tool.insync(sent["change_id"])
    assert reading["state"] == state
    assert late_states[0] == state


@pytest.mark.parametrize(
    "change",
    [
        {"before": None, "after": fence(2), "moves": True},
        {"before": fence(1), "after": "no fence!", "moves": False},
        {"before": fence(1), "after": fence(2), "comment": "x" * 257, "moves": False},
    ],
)
def test_what_contradicts_itself_is_never_sent(quiet_world, tool, change):
    tool.adopt()
    count = len(quiet_world.ledger())
    state = tool.read()["state"]
    states = (state, state) if change["moves"] else (None, None)
    sent = tool.send(
        change["before"], change["after"], states=states, comment=change.get("comment", "x")
    )
    assert sent["reply"] == "NOT_SENT"
    assert len(quiet_world.ledger()) == count


def test_nothing_leaves_after_the_deadline(quiet_world, tool):
    sent = tool.send(None, fence(1), ms=-1000)
    assert sent["reply"] == "NOT_SENT"
    assert "deadline" in sent["message"]
    assert quiet_world.ledger() == []


# --- every kind of record -----------------------------------------------------------------------


def elb(name, region):
    return f"dualstack.{name}.{region}.elb.amazonaws.com"


RECORDS = [
    {
        "Name": f"alias.{DOMAIN}.",
        "Type": "A",
        "AliasTarget": {
            "HostedZoneId": "Z35SXDOTRQ7X7K",
            "DNSName": elb("web-1", "us-east-1") + ".",
            "EvaluateTargetHealth": True,
        },
    },
    {
        "Name": f"www.{DOMAIN}.",
        "Type": "CNAME",
        "TTL": 300,
        "Values": ["east.example.com"],
    },
    {
        "Name": f"txt.{DOMAIN}.",
        "Type": "TXT",
        "TTL": 60,
        "Values": ['"region=us-east-1 & \\"quoted\\" <x>"', '"other"'],
    },
    *(
        {
            "Name": f"w.{DOMAIN}.",
            "Type": "A",
            "SetIdentifier": region,
            "Weight": weight,
            "TTL": 60,
            "Values": [noctua.ADDRESSES[region]],
        }
        for region, weight in [("us-east-1", 120), ("us-west-2", 0)]
    ),
    *(
        {
            "Name": f"f.{DOMAIN}.",
            "Type": "A",
            "SetIdentifier": region,
            "Failover": role,
            "TTL": 60,
            "Values": [noctua.ADDRESSES[region]],
            **({"HealthCheckId": "11111111-2222-3333-4444-555555555555"} if check else {}),
        }
        for region, role, check in [("us-east-1", "PRIMARY", True), ("us-west-2", "SECONDARY", False)]
    ),
]


@pytest.mark.sanitizers
def test_every_kind_of_record_in_one_batch(tmp_path):
    world = noctua.World(tmp_path / "world")
    world.records.write_text(json.dumps({ZONE: RECORDS}))
    world.start()
    tool = Tool(environment_of(world))
    try:
        keys = [
            {"name": r["Name"], "type": r["Type"], "set_identifier": r.get("SetIdentifier", "")}
            for r in RECORDS
        ]
        target = {**TARGET, "records": keys}
        values = [
            {"action": "alias", "text": elb("web-2", "us-west-2")},
            {"action": "cname", "text": "west.example.com", "ttl": 60},
            {"action": "values", "text": "region=us-west-2"},
            {"action": "weighted", "chosen": False},
            {"action": "weighted", "chosen": True},
            {"action": "failover", "chosen": False},
            {"action": "failover", "chosen": True},
        ]
        tool.adopt(target=target)
        reading = tool.read(target)
        assert "error" not in reading, reading
        wanted = tool.desired(reading["state"], values, target)
        assert "error" not in wanted, wanted
        states = (reading["state"], wanted["state"])
        sent = tool.send(fence(1), fence(2), target=target, states=states)
        assert sent["reply"] == "ACCEPTED", sent
        after = tool.insync(sent["change_id"], target)
        assert after["fence"] == fence(2)
        assert after["state"] == wanted["state"]
        alias = records_of(world, f"alias.{DOMAIN}", "A")[0]["AliasTarget"]
        assert alias["HostedZoneId"] == "Z1H1FL5HABSF5"
        assert alias["EvaluateTargetHealth"] is True
        weights = {r["SetIdentifier"]: r["Weight"] for r in records_of(world, f"w.{DOMAIN}", "A")}
        assert weights == {"us-east-1": 0, "us-west-2": 120}
        roles = {r["SetIdentifier"]: r["Failover"] for r in records_of(world, f"f.{DOMAIN}", "A")}
        assert roles == {"us-east-1": "SECONDARY", "us-west-2": "PRIMARY"}
        assert records_of(world, f"www.{DOMAIN}", "CNAME")[0]["TTL"] == 60
    finally:
        assert tool.end() == 0, "".join(tool.errors)
        world.process.terminate()


# --- what can go wrong on the way ---------------------------------------------------------------


@pytest.mark.sanitizers
def test_a_lost_reply_is_unknown_and_is_never_sent_again(quiet_world, tool):
    tool.adopt()
    quiet_world.fault(kind="drop_reply", operation="change")
    _, sent = move(tool, fence(1), fence(2), WEST)
    assert sent["reply"] == "UNKNOWN"
    reading = tool.read()
    assert reading["fence"] == fence(2)
    kinds = [e["kind"] for e in quiet_world.ledger() if e.get("comment") == fence(2)]
    assert kinds.count("change") == 1
    assert "refused" not in kinds, "a second request would have been refused"


def test_a_hung_request_is_unknown_and_may_land_later(quiet_world, tool):
    tool.adopt()
    fault = quiet_world.fault(kind="delay", operation="change", release=True)
    _, sent = move(tool, fence(1), fence(2), WEST)
    assert sent["reply"] == "UNKNOWN"
    assert tool.read()["fence"] == fence(1)
    burnt = tool.send(fence(1), f"void({fence(2)})")
    assert burnt["reply"] == "ACCEPTED", burnt
    quiet_world.release(fault)
    reading = tool.insync(burnt["change_id"])
    assert reading["fence"] == f"void({fence(2)})"
    assert quiet_world.dig() == [EAST]


@pytest.mark.parametrize("status", [500, 503])
def test_a_server_error_is_unknown(quiet_world, tool, status):
    quiet_world.fault(kind="error", operation="change", status=status, code="InternalFailure")
    sent = tool.send(None, fence(1))
    assert sent["reply"] == "UNKNOWN"
    assert "InternalFailure" in sent["message"]


@pytest.mark.parametrize("code", ["Throttling", "PriorRequestNotComplete"])
def test_an_effect_is_put_off_by_the_caller(quiet_world, tool, code):
    quiet_world.fault(kind="error", operation="change", code=code)
    sent = tool.send(None, fence(1))
    assert sent["reply"] == "REFUSED"
    assert sent["retry_later"]
    assert tool.send(None, fence(1))["reply"] == "ACCEPTED"


@pytest.mark.parametrize("code", ["Throttling", "PriorRequestNotComplete"])
def test_a_read_waits_and_asks_again(quiet_world, tool, code):
    fault = quiet_world.fault(kind="error", operation="list", code=code, count=3)
    assert tool.read()["summary"] == f"{DOMAIN} A {EAST}"
    assert quiet_world.control("GET", f"/faults/{fault}")["fired"] == 3


def test_a_read_gives_up_at_its_time(quiet_world):
    tool = Tool(environment_of(quiet_world, TOOL_READ_TIMEOUT_MS="1500"))
    quiet_world.fault(kind="error", operation="list", code="Throttling", count=0)
    reply = tool.read()
    assert reply["error"] in ("unavailable", "timed out")
    assert tool.end() == 0


def test_a_server_error_fails_the_read_at_once(quiet_world, tool):
    quiet_world.fault(kind="error", operation="list", status=500, code="InternalFailure")
    reply = tool.read()
    assert reply["error"] == "unavailable"


def test_a_dead_control_plane_is_not_sent_and_comes_back(quiet_world, tool):
    tool.adopt()
    fault = quiet_world.fault(kind="dead")
    sent = tool.send(fence(1), fence(2))
    assert sent["reply"] == "NOT_SENT", sent
    assert tool.read()["error"] == "unavailable"
    quiet_world.remove_fault(fault)
    assert tool.read()["fence"] == fence(1)


@pytest.mark.parametrize("status", ["missing", "pending"])
def test_a_forgotten_change_is_seen(quiet_world, tool, status):
    tool.adopt()
    quiet_world.fault(kind="forget", operation="change", ms=50, status=status)
    _, sent = move(tool, fence(1), fence(2), WEST)
    assert sent["reply"] == "ACCEPTED"

    def forgotten():
        reading = tool.read(change_id=sent["change_id"])
        return reading if reading["fence"] == fence(1) else None

    noctua.wait_until(forgotten, 10, "the change is forgotten")
    reading = tool.read(change_id=sent["change_id"])  # the one before may have asked for it sooner
    assert reading["sync"] == ("NO_SUCH_CHANGE" if status == "missing" else "PENDING")


def test_one_request_at_a_time_and_effects_first(quiet_world, tool):
    tool.adopt()
    quiet_world.fault(kind="slow", operation="list", ms=1000)
    first = tool.begin("read", target=TARGET, change_id="")
    # On its way: until then the effect would rightly overtake it, too.
    noctua.wait_until(lambda: quiet_world.faults()[0]["fired"], 10, "the first read")
    later = [tool.begin("read", target=TARGET, change_id="") for _ in range(3)]
    effect = tool.begin_send(fence(1), fence(2))
    assert tool.wait(first)["fence"] == fence(1)
    assert tool.wait(effect)["reply"] == "ACCEPTED"
    assert [tool.wait(n)["fence"] for n in later] == [fence(2)] * 3


def test_a_hung_zone_does_not_hold_up_the_end(quiet_world):
    tool = Tool(environment_of(quiet_world))
    quiet_world.fault(kind="hang", operation="list")
    numbers = [tool.begin("read", target=TARGET, change_id="") for _ in range(3)]
    numbers.append(tool.begin_send(None, fence(1)))
    closing = tool.begin("close")
    assert tool.wait(closing)["closed"]
    replies = [tool.wait(n) for n in numbers]
    assert all(r.get("error") == "cancelled" for r in replies[:3]), replies
    assert replies[3]["reply"] == "NOT_SENT"
    assert tool.end() == 0


# --- credentials --------------------------------------------------------------------------------


def without_keys(world, **more):
    environment = environment_of(world, **more)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        environment[name] = ""
    return environment


def test_no_credentials_at_all(quiet_world):
    tool = Tool(without_keys(quiet_world))
    reply = tool.read()
    assert "no AWS credentials" in reply["message"]
    sent = tool.send(None, fence(1))
    assert sent["reply"] == "NOT_SENT"
    assert tool.end() == 0
    assert quiet_world.ledger() == []


def test_a_wrong_secret_is_refused(quiet_world):
    tool = Tool(environment_of(quiet_world, AWS_SECRET_ACCESS_KEY="guessed"))
    reply = tool.read()
    assert reply["error"] == "not authorised"
    assert tool.send(None, fence(1))["reply"] == "REFUSED"
    assert tool.end() == 0


def test_shared_file_with_a_profile(quiet_world, tmp_path):
    (tmp_path / "credentials").write_text(
        f"[default]\naws_access_key_id = wrong\naws_secret_access_key = wrong\n\n"
        f"[noctua]\naws_access_key_id={noctua.ACCESS_KEY}\n"
        f"aws_secret_access_key = {noctua.SECRET_KEY}\n"
    )
    path = str(tmp_path / "credentials")
    tool = Tool(
        without_keys(quiet_world, AWS_SHARED_CREDENTIALS_FILE=path, AWS_PROFILE="noctua")
    )
    assert tool.read()["summary"] == f"{DOMAIN} A {EAST}"
    assert tool.end() == 0


ROLE = "arn:aws:iam::111122223333:role/noctua-dns"


@pytest.fixture
def role_world(tmp_path):
    world = noctua.World(tmp_path / "world", arguments=["--role", f"{ROLE}:the-external-id"])
    world.start()
    yield world
    world.process.terminate()


def test_role_with_an_external_id(role_world):
    tool = Tool(environment_of(role_world))
    target = {**TARGET, "role": ROLE, "external_id": "the-external-id"}
    assert tool.read(target)["summary"] == f"{DOMAIN} A {EAST}"
    assert tool.send(None, fence(1), target=target)["reply"] == "ACCEPTED"
    wrong = tool.read({**target, "external_id": "another"})
    assert wrong["error"] == "not authorised"
    assert "STS" in wrong["message"]
    assert tool.end() == 0


def test_role_of_a_profile(role_world, tmp_path):
    (tmp_path / "credentials").write_text(
        f"[base]\naws_access_key_id={noctua.ACCESS_KEY}\n"
        f"aws_secret_access_key={noctua.SECRET_KEY}\n"
    )
    (tmp_path / "config").write_text(
        f"[profile dns]\nrole_arn = {ROLE}\nsource_profile = base\n"
        f"external_id = the-external-id\nregion = us-west-2\ns3 =\n  max_queue = 3\n"
    )
    tool = Tool(
        without_keys(
            role_world,
            AWS_SHARED_CREDENTIALS_FILE=str(tmp_path / "credentials"),
            AWS_CONFIG_FILE=str(tmp_path / "config"),
            AWS_PROFILE="dns",
        )
    )
    assert tool.read()["summary"] == f"{DOMAIN} A {EAST}"
    assert tool.end() == 0


def test_web_identity(quiet_world, tmp_path):
    (tmp_path / "token").write_text("a.web.token\n")
    tool = Tool(
        without_keys(
            quiet_world,
            AWS_WEB_IDENTITY_TOKEN_FILE=str(tmp_path / "token"),
            AWS_ROLE_ARN=ROLE,
        )
    )
    assert tool.read()["summary"] == f"{DOMAIN} A {EAST}"
    assert tool.end() == 0


def test_the_last_good_keys_outlive_sts(role_world):
    tool = Tool(environment_of(role_world))
    target = {**TARGET, "role": ROLE, "external_id": "the-external-id"}
    assert "error" not in tool.read(target)
    role_world.fault(kind="error", operation="sts", status=503, code="ServiceUnavailable", count=0)
    # Once refused they are fetched anew; that fails, and the old ones serve on.
    role_world.fault(kind="error", operation="list", status=403, code="ExpiredToken")
    assert tool.read(target)["summary"] == f"{DOMAIN} A {EAST}"
    assert "AKID" not in "".join(tool.errors)
    assert tool.end() == 0


@pytest.mark.parametrize("hours", [1, -1])
def test_a_clock_that_is_off_is_taken_from_the_reply(role_world, hours):
    """STS and Route 53: each asked once more at once, and never again."""
    tool = Tool(environment_of(role_world))
    target = {**TARGET, "role": ROLE, "external_id": "the-external-id"}
    role_world.control("POST", "/clock", {"offset_ms": hours * 3600 * 1000})
    assert tool.read(target)["summary"] == f"{DOMAIN} A {EAST}"
    assert tool.send(None, fence(1), target=target)["reply"] == "ACCEPTED"
    assert tool.read(target)["fence"] == fence(1)
    assert tool.end() == 0
    assert "".join(tool.errors).count("aws_clock_differs") == 1


def test_an_effect_is_not_repeated_for_the_clock(quiet_world, tool):
    """Its refusal is for the caller to read; the next request has the right date."""
    quiet_world.control("POST", "/clock", {"offset_ms": 3600 * 1000})
    sent = tool.send(None, fence(1))
    assert sent["reply"] == "REFUSED"
    assert "this machine's clock is" in sent["message"]
    assert "behind Route 53's: set it" in sent["message"]
    assert [e["kind"] for e in quiet_world.ledger()] == ["refused"]
    assert tool.read()["fence"] is None
    assert tool.send(None, fence(1))["reply"] == "ACCEPTED"


def test_a_clock_that_is_days_off_is_named(quiet_world, tool):
    quiet_world.control("POST", "/clock", {"offset_ms": 25 * 3600 * 1000})
    reply = tool.read()
    assert reply["error"] == "unavailable"
    assert "behind Route 53's: set it" in reply["message"]
