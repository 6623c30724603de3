"""noctua-world as its clients see it: Debian's aws CLI, botocore (an independent signer), dig and curl-like
raw sockets. Run with the system's python3; NOCTUA_BUILD names the build directory."""

import json
import os
import pathlib
import re
import signal
import socket
import ssl
import subprocess
import threading
import time
import urllib.error
import urllib.request

import botocore.client
import botocore.exceptions
import botocore.session
import pytest
from botocore.config import Config

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("NOCTUA_BUILD", ROOT / "build" / "debug"))
WORLD = BUILD / "tests" / "world" / "noctua-world"
AWS = "/usr/bin/aws"
ZONE = "Z1234567890ABC"
KEY = "AKIDEXAMPLE"
SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
ROLE = "arn:aws:iam::111122223333:role/noctua-dns"
EAST = "dualstack.web-1.us-east-1.elb.amazonaws.com."
WEST = "dualstack.web-2.us-west-2.elb.amazonaws.com."
FENCE = "_noctua-nocturnal.nocturnal.com."
WAIT_S = 20

# Nothing of the machine's own AWS set-up may leak in.
for name in list(os.environ):
    if name.startswith("AWS_"):
        del os.environ[name]
os.environ["AWS_CONFIG_FILE"] = "/dev/null"
os.environ["AWS_SHARED_CREDENTIALS_FILE"] = "/dev/null"
os.environ["AWS_EC2_METADATA_DISABLED"] = "true"


def alias(target):
    return {
        "Name": "nocturnal.com.",
        "Type": "A",
        "AliasTarget": {
            "HostedZoneId": "Z35SXDOTRQ7X7K",
            "DNSName": target,
            "EvaluateTargetHealth": False,
        },
    }


def fence(text):
    return {
        "Name": FENCE,
        "Type": "TXT",
        "TTL": 60,
        "ResourceRecords": [{"Value": f'"{text}"'}],
    }


def swap(old, new, source=EAST, target=WEST):
    """The batch that a move sends."""
    return {
        "Comment": new,
        "Changes": [
            {"Action": "DELETE", "ResourceRecordSet": fence(old)},
            {"Action": "CREATE", "ResourceRecordSet": fence(new)},
            {"Action": "DELETE", "ResourceRecordSet": alias(source)},
            {"Action": "CREATE", "ResourceRecordSet": alias(target)},
        ],
    }


class World:
    def __init__(self, directory, *options):
        self.directory = directory
        records = directory / "records.json"
        records.write_text(
            json.dumps({ZONE: [alias(EAST), fence("void")]})
        )
        self.process = subprocess.Popen(
            [
                str(WORLD),
                f"--directory={directory}",
                "--region=us-east-1",
                "--region=us-west-2:api",
                f"--zone={ZONE}:nocturnal.com",
                f"--records={records}",
                f"--access-key={KEY}:{SECRET}",
                *options,
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        if self.process.stdout.readline() != "ready\n":
            raise RuntimeError(self.process.communicate()[1])
        self.addresses = json.loads((directory / "world.json").read_text())

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            _, errors = self.process.communicate(timeout=WAIT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        assert self.process.returncode == 0, errors
        assert errors == ""

    def control(self, method, path, body=None):
        """Status and JSON of a control request."""
        request = urllib.request.Request(
            f"http://{self.addresses['control']}{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
        )
        try:
            with urllib.request.urlopen(request, timeout=WAIT_S) as reply:
                return reply.status, json.load(reply)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    def arm(self, **fault):
        status, reply = self.control("POST", "/faults", fault)
        assert status == 201, reply
        return reply["id"]

    def fault(self, number):
        return self.control("GET", f"/faults/{number}")[1]

    def ledger(self):
        lines = (self.directory / "ledger.jsonl").read_text().splitlines()
        return [json.loads(line) for line in lines]

    def effective(self):
        return [entry for entry in self.ledger() if entry["effective"]]

    def client(self, service="route53", key=KEY, secret=SECRET, token=None, timeout=5):
        return botocore.session.get_session().create_client(
            service,
            region_name="us-east-1",
            endpoint_url=f"http://{self.addresses[service]}",
            aws_access_key_id=key,
            aws_secret_access_key=secret,
            aws_session_token=token,
            config=Config(
                retries={"total_max_attempts": 1}, read_timeout=timeout, connect_timeout=timeout
            ),
        )

    def change(self, batch, **options):
        return self.client(**options).change_resource_record_sets(
            HostedZoneId=ZONE, ChangeBatch=batch
        )["ChangeInfo"]

    def fence_value(self):
        _, zone = self.control("GET", f"/zones/{ZONE}")
        values = [s["Values"][0] for s in zone["record_sets"] if s["Name"] == FENCE]
        return values[0].strip('"') if values else None

    def dig(self, *arguments):
        host, port = self.addresses["dns"].split(":")
        return subprocess.run(
            ["dig", f"@{host}", "-p", port, "+short", "+tries=1", "+time=5", *arguments],
            check=True,
            capture_output=True,
            text=True,
            timeout=WAIT_S,
        ).stdout.split()

    def aws(self, *arguments, check=True):
        """The unchanged CLI of Debian."""
        done = subprocess.run(
            [AWS, "--endpoint-url", f"http://{self.addresses['route53']}", *arguments],
            capture_output=True,
            text=True,
            timeout=60,
            env={
                "PATH": "/usr/bin:/bin",
                "HOME": str(self.directory),
                "AWS_ACCESS_KEY_ID": KEY,
                "AWS_SECRET_ACCESS_KEY": SECRET,
                "AWS_DEFAULT_REGION": "us-east-1",
                "AWS_MAX_ATTEMPTS": "1",
                "AWS_PAGER": "",
                "AWS_EC2_METADATA_DISABLED": "true",
            },
        )
        if not check:
            return done
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout) if done.stdout else None


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path)
    yield made
    made.stop()


@pytest.fixture
def make_world(tmp_path):
    made = []

    def make(*options):
        directory = tmp_path / str(len(made))
        directory.mkdir()
        made.append(World(directory, *options))
        return made[-1]

    yield make
    for one in made:
        one.stop()


def wait_for(condition, what):
    end = time.monotonic() + WAIT_S
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, f"waited {WAIT_S} s in vain: {what}"
        threading.Event().wait(0.01)


def refusal(call, *arguments, **options):
    """(code, message, HTTP status) of an AWS error."""
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        call(*arguments, **options)
    reply = caught.value.response
    return (
        reply["Error"].get("Code"),
        reply["Error"].get("Message"),
        reply["ResponseMetadata"]["HTTPStatusCode"],
    )


# --- the aws CLI, unchanged ---------------------------------------------------------------------


def test_cli_lists_and_gets(world):
    zones = world.aws("route53", "list-hosted-zones")["HostedZones"]
    assert [zone["Name"] for zone in zones] == ["nocturnal.com."]
    assert zones[0]["Id"] == f"/hostedzone/{ZONE}"
    assert zones[0]["ResourceRecordSetCount"] == 4
    zone = world.aws("route53", "get-hosted-zone", "--id", f"/hostedzone/{ZONE}")
    assert len(zone["DelegationSet"]["NameServers"]) == 4
    by_name = world.aws("route53", "list-hosted-zones-by-name", "--dns-name", "nocturnal.com")
    assert by_name["HostedZones"][0]["Name"] == "nocturnal.com."
    sets = world.aws("route53", "list-resource-record-sets", "--hosted-zone-id", ZONE)
    kinds = [(s["Name"], s["Type"]) for s in sets["ResourceRecordSets"]]
    assert kinds == [
        ("nocturnal.com.", "A"),
        ("nocturnal.com.", "NS"),
        ("nocturnal.com.", "SOA"),
        (FENCE, "TXT"),
    ]
    assert sets["ResourceRecordSets"][0] == alias(EAST)
    assert sets["ResourceRecordSets"][3] == fence("void")


def test_cli_compare_and_swap(world, tmp_path):
    batch = tmp_path / "batch.json"
    batch.write_text(json.dumps(swap("void", "e1")))
    change_arguments = [
        "route53",
        "change-resource-record-sets",
        "--hosted-zone-id",
        ZONE,
        "--change-batch",
        f"file://{batch}",
    ]
    info = world.aws(*change_arguments)["ChangeInfo"]
    assert info["Status"] == "PENDING"
    assert info["Comment"] == "e1"
    assert info["Id"].startswith("/change/C")

    # The same again is stale now, and must change nothing.
    again = world.aws(*change_arguments, check=False)
    assert again.returncode != 0
    assert "InvalidChangeBatch" in again.stderr
    assert (
        f"Tried to delete resource record set [name='{FENCE}', type='TXT'] but the values "
        "provided do not match the current values" in again.stderr
    )
    assert world.fence_value() == "e1"

    def is_insync():
        got = world.aws("route53", "get-change", "--id", info["Id"])["ChangeInfo"]
        return got["Status"] == "INSYNC" and got["Comment"] == "e1"

    wait_for(is_insync, "INSYNC")
    world.aws("route53", "wait", "resource-record-sets-changed", "--id", info["Id"])
    assert world.dig("nocturnal.com", "A") == ["127.0.2.1"]


def test_cli_is_refused_with_a_wrong_secret(world):
    done = subprocess.run(
        [AWS, "--endpoint-url", f"http://{world.addresses['route53']}", "route53",
         "list-hosted-zones"],
        capture_output=True,
        text=True,
        timeout=60,
        env={
            "PATH": "/usr/bin:/bin",
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": "wrong",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_MAX_ATTEMPTS": "1",
        },
    )
    assert done.returncode != 0
    assert "SignatureDoesNotMatch" in done.stderr


# --- Route 53 by botocore -----------------------------------------------------------------------


ORDER = [
    "Name", "Type", "SetIdentifier", "Weight", "Region", "GeoLocation", "Failover",
    "MultiValueAnswer", "TTL", "ResourceRecords", "AliasTarget", "HealthCheckId",
]


def ordered(record_set):
    """botocore writes the elements in the order of the dict; Route 53 wants its own."""
    return {name: record_set[name] for name in ORDER if name in record_set}


def routing_sets():
    """One pair of each routing policy."""
    data = {"TTL": 60, "ResourceRecords": [{"Value": "192.0.2.1"}]}
    sets = [
        {"Name": "w.nocturnal.com.", "Type": "A", "SetIdentifier": "a", "Weight": 0, **data},
        {"Name": "w.nocturnal.com.", "Type": "A", "SetIdentifier": "b", "Weight": 9, **data},
        {"Name": "f.nocturnal.com.", "Type": "A", "SetIdentifier": "one & <two>",
         "Failover": "PRIMARY", "HealthCheckId": "11111111-2222", **data},
        {"Name": "f.nocturnal.com.", "Type": "A", "SetIdentifier": "s", "Failover": "SECONDARY",
         **data},
        {"Name": "l.nocturnal.com.", "Type": "A", "SetIdentifier": "l", "Region": "us-east-1",
         **data},
        {"Name": "g.nocturnal.com.", "Type": "A", "SetIdentifier": "g",
         "GeoLocation": {"CountryCode": "US", "SubdivisionCode": "NY"}, **data},
        {"Name": "m.nocturnal.com.", "Type": "A", "SetIdentifier": "m", "MultiValueAnswer": True,
         **data},
        {"Name": "\\052.x.nocturnal.com.", "Type": "TXT", "TTL": 5,
         "ResourceRecords": [{"Value": '"a \\"quoted\\" <b> & c" "second"'}]},
    ]
    return [ordered(one) for one in sets]


def key_of(record_set):
    return record_set["Name"], record_set["Type"], record_set.get("SetIdentifier", "")


def test_what_is_written_is_what_is_listed(world):
    sets = routing_sets()
    client = world.client()
    create = [{"Action": "CREATE", "ResourceRecordSet": one} for one in sets]
    client.change_resource_record_sets(HostedZoneId=ZONE, ChangeBatch={"Changes": create})
    listed = client.list_resource_record_sets(HostedZoneId=ZONE)["ResourceRecordSets"]
    for one in sets:
        assert one in listed
    # As listed they can be deleted.
    own = [one for one in listed if key_of(one) in {key_of(s) for s in sets}]
    assert len(own) == len(sets)
    delete = [{"Action": "DELETE", "ResourceRecordSet": one} for one in own]
    client.change_resource_record_sets(HostedZoneId=ZONE, ChangeBatch={"Changes": delete})
    assert len(client.list_resource_record_sets(HostedZoneId=ZONE)["ResourceRecordSets"]) == 4


def test_each_attribute_must_match_to_delete(world):
    client = world.client()
    sets = routing_sets()
    create = [{"Action": "CREATE", "ResourceRecordSet": one} for one in sets]
    client.change_resource_record_sets(HostedZoneId=ZONE, ChangeBatch={"Changes": create})
    wrong = [
        {**sets[0], "Weight": 1},
        {**sets[1], "TTL": 61},
        {**sets[2], "HealthCheckId": "other"},
        {**sets[3], "Failover": "PRIMARY"},
        {**sets[4], "Region": "us-west-2"},
        {**sets[5], "GeoLocation": {"CountryCode": "US"}},
        {**sets[6], "ResourceRecords": [{"Value": "192.0.2.2"}]},
    ]
    for one in wrong:
        batch = {"Changes": [{"Action": "DELETE", "ResourceRecordSet": ordered(one)}]}
        code, _, status = refusal(
            client.change_resource_record_sets, HostedZoneId=ZONE, ChangeBatch=batch
        )
        assert (code, status) == ("InvalidChangeBatch", 400), one
    missing = {**sets[0], "SetIdentifier": "nobody"}
    _, message, _ = refusal(
        client.change_resource_record_sets,
        HostedZoneId=ZONE,
        ChangeBatch={"Changes": [{"Action": "DELETE", "ResourceRecordSet": missing}]},
    )
    assert "but it was not found" in str(message)
    assert len(client.list_resource_record_sets(HostedZoneId=ZONE)["ResourceRecordSets"]) == 12


def test_paging(world):
    client = world.client()
    create = [{"Action": "CREATE", "ResourceRecordSet": one} for one in routing_sets()]
    client.change_resource_record_sets(HostedZoneId=ZONE, ChangeBatch={"Changes": create})
    whole = client.list_resource_record_sets(HostedZoneId=ZONE)
    assert whole["MaxItems"] == "300" and not whole["IsTruncated"]
    for page in (1, 2, 5):
        pages = client.get_paginator("list_resource_record_sets").paginate(
            HostedZoneId=ZONE, PaginationConfig={"PageSize": page}
        )
        listed = [one for reply in pages for one in reply["ResourceRecordSets"]]
        assert listed == whole["ResourceRecordSets"]
    found = client.list_resource_record_sets(
        HostedZoneId=ZONE, StartRecordName="W.nocturnal.com", StartRecordType="A",
        StartRecordIdentifier="b", MaxItems="1",
    )
    assert found["ResourceRecordSets"][0]["Weight"] == 9
    assert refusal(
        client.list_resource_record_sets, HostedZoneId=ZONE, StartRecordType="A"
    )[0] == "InvalidInput"


def test_what_is_not_there(world):
    client = world.client()
    assert refusal(client.get_change, Id="C000")[::2] == ("NoSuchChange", 404)
    for call in (client.list_resource_record_sets,):
        assert refusal(call, HostedZoneId="ZNONE")[::2] == ("NoSuchHostedZone", 404)
    assert refusal(client.get_hosted_zone, Id="ZNONE")[::2] == ("NoSuchHostedZone", 404)
    assert refusal(
        client.change_resource_record_sets, HostedZoneId="ZNONE", ChangeBatch=swap("void", "e1")
    )[::2] == ("NoSuchHostedZone", 404)


def test_order_of_elements(world):
    turned = {"Type": "A", "Name": "x.nocturnal.com", "TTL": 60,
              "ResourceRecords": [{"Value": "192.0.2.1"}]}
    code, message, status = refusal(
        world.client().change_resource_record_sets,
        HostedZoneId=ZONE,
        ChangeBatch={"Changes": [{"Action": "CREATE", "ResourceRecordSet": turned}]},
    )
    assert (code, status) == ("InvalidInput", 400)
    assert "Invalid content was found starting with element 'Type'" in message


def test_both_forms_of_a_refused_batch(make_world):
    world = make_world()
    code, message, status = refusal(world.change, swap("other", "e1"))
    assert (code, status) == ("InvalidChangeBatch", 400)
    name = f"[name='{FENCE}', type='TXT']"
    assert message == (
        f"[Tried to delete resource record set {name} but the values provided do not match the "
        f"current values, Tried to create resource record set {name} but it already exists]"
    )
    # botocore can't read the older form.
    old = make_world("--old-batch-errors")
    client = old.client()
    bodies = []
    client.meta.events.register(
        "response-received.route53",
        lambda response_dict, **_: bodies.append(response_dict["body"].decode()),
    )
    assert refusal(
        client.change_resource_record_sets, HostedZoneId=ZONE, ChangeBatch=swap("other", "e1")
    )[2] == 400
    assert re.search(
        r"<InvalidChangeBatch xmlns=[^>]*><Messages><Message>Tried to delete .*</Message>"
        r"<Message>Tried to create .*</Message></Messages><RequestId>", bodies[0]
    )


def test_pending_then_insync(make_world):
    world = make_world("--insync-ms=600", "--dns-insync-only")
    client = world.client()
    before = time.monotonic()
    info = world.change(swap("void", "e1"))
    # A listing shows at once what DNS doesn't know yet.
    assert fence("e1") in client.list_resource_record_sets(HostedZoneId=ZONE)[
        "ResourceRecordSets"
    ]
    if time.monotonic() - before < 0.4:
        assert client.get_change(Id=info["Id"])["ChangeInfo"]["Status"] == "PENDING"
        assert world.dig("nocturnal.com") == ["127.0.1.1"]
    wait_for(
        lambda: client.get_change(Id=info["Id"])["ChangeInfo"]["Status"] == "INSYNC", "INSYNC"
    )
    assert time.monotonic() - before >= 0.6
    assert world.dig("nocturnal.com") == ["127.0.2.1"]


def test_throttling(make_world):
    world = make_world("--throttle=1")
    client = world.client()
    codes = set()
    for _ in range(5):
        try:
            client.list_hosted_zones()
        except botocore.exceptions.ClientError as error:
            codes.add((error.response["Error"]["Code"], error.response["Error"]["Message"]))
    assert codes == {("Throttling", "Rate exceeded")}


# --- signatures and STS -------------------------------------------------------------------------


def test_signatures(world):
    listing = {"HostedZoneId": ZONE}
    assert refusal(
        world.client(secret="wrong").list_resource_record_sets, **listing
    )[::2] == ("SignatureDoesNotMatch", 403)
    assert refusal(
        world.client(key="AKIDNOBODY").list_resource_record_sets, **listing
    )[::2] == ("InvalidClientTokenId", 403)
    assert refusal(
        world.client(token="abc").list_resource_record_sets, **listing
    )[::2] == ("InvalidClientTokenId", 403)
    request = urllib.request.Request(
        f"http://{world.addresses['route53']}/2013-04-01/hostedzone/{ZONE}/rrset"
    )
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request, timeout=WAIT_S)
    body = caught.value.read().decode()
    assert caught.value.code == 403
    assert re.search(r"<Error><Type>Sender</Type><Code>MissingAuthenticationToken</Code>", body)
    assert caught.value.headers["Date"] and caught.value.headers["x-amzn-RequestId"]
    assert caught.value.headers["x-amzn-RequestId"] in body


def test_hard_names_are_signed_right(world):
    client = world.client()
    # What a signer may encode wrongly: escapes, spaces, tildes, slashes, pluses.
    for name in ("\\052.a b.nocturnal.com", "a~b.nocturnal.com", "a+b/c=d&e.nocturnal.com"):
        client.list_resource_record_sets(HostedZoneId=ZONE, StartRecordName=name)
    client.list_resource_record_sets(
        HostedZoneId=ZONE, StartRecordName="w.nocturnal.com", StartRecordType="A",
        StartRecordIdentifier="one & <two> + ünïcode/=%",
    )


def test_clock_skew_is_seen(world):
    client = world.client()
    for offset_ms, words in ((600_000, "Signature expired: "),
                             (-600_000, "Signature not yet current: ")):
        assert world.control("POST", "/clock", {"offset_ms": offset_ms})[0] == 200
        code, message, status = refusal(client.list_hosted_zones)
        assert (code, status) == ("SignatureDoesNotMatch", 403)
        assert message.startswith(words)
    world.control("POST", "/clock", {"offset_ms": 200_000})
    reply = client.list_hosted_zones()
    date = reply["ResponseMetadata"]["HTTPHeaders"]["date"]
    shown = time.mktime(time.strptime(date, "%a, %d %b %Y %H:%M:%S GMT")) - time.timezone
    assert 190 < shown - time.time() < 210


def test_assume_role(make_world):
    world = make_world(f"--role={ROLE}:tenant-7")
    sts = world.client("sts")
    assert sts.get_caller_identity()["Account"] == "111122223333"
    asked = {"RoleArn": ROLE, "RoleSessionName": "noctua-n1"}
    assert refusal(sts.assume_role, **asked)[::2] == ("AccessDenied", 403)
    assert refusal(sts.assume_role, **asked, ExternalId="tenant-8")[0] == "AccessDenied"
    assert refusal(sts.assume_role, RoleArn=ROLE + "x", RoleSessionName="noctua-n1",
                   ExternalId="tenant-7")[0] == "AccessDenied"
    given = sts.assume_role(**asked, ExternalId="tenant-7")
    credentials = given["Credentials"]
    assert given["AssumedRoleUser"]["Arn"].endswith("assumed-role/noctua-dns/noctua-n1")
    assert 3500 < credentials["Expiration"].timestamp() - time.time() < 3700
    temporary = {
        "key": credentials["AccessKeyId"],
        "secret": credentials["SecretAccessKey"],
        "token": credentials["SessionToken"],
    }
    world.change(swap("void", "e1"), **temporary)
    who = world.client("sts", **temporary).get_caller_identity()["Arn"]
    assert who == given["AssumedRoleUser"]["Arn"]
    temporary["token"] = None
    assert refusal(world.client(**temporary).list_hosted_zones)[0] == "InvalidClientTokenId"


def test_temporary_credentials_expire(make_world):
    world = make_world("--session-seconds=60")
    given = world.client("sts").assume_role(RoleArn=ROLE, RoleSessionName="n1")["Credentials"]
    client = world.client(
        key=given["AccessKeyId"], secret=given["SecretAccessKey"], token=given["SessionToken"]
    )
    client.list_hosted_zones()
    world.control("POST", "/clock", {"offset_ms": 61_000})
    assert refusal(client.list_hosted_zones)[::2] == ("ExpiredToken", 403)


def test_web_identity(make_world):
    world = make_world("--web-identity-token=abc.def.ghi")
    unsigned = botocore.session.get_session().create_client(
        "sts", region_name="us-east-1", endpoint_url=f"http://{world.addresses['sts']}",
        config=Config(signature_version=botocore.UNSIGNED, retries={"total_max_attempts": 1}),
    )
    asked = {"RoleArn": ROLE, "RoleSessionName": "n1"}
    assert refusal(
        unsigned.assume_role_with_web_identity, **asked, WebIdentityToken="wrong"
    )[::2] == ("InvalidIdentityToken", 400)
    given = unsigned.assume_role_with_web_identity(**asked, WebIdentityToken="abc.def.ghi")
    world.client(
        key=given["Credentials"]["AccessKeyId"],
        secret=given["Credentials"]["SecretAccessKey"],
        token=given["Credentials"]["SessionToken"],
    ).list_hosted_zones()


# --- faults -------------------------------------------------------------------------------------

LOST = (
    botocore.exceptions.ConnectionClosedError,
    botocore.exceptions.ReadTimeoutError,
    botocore.exceptions.EndpointConnectionError,
)


def test_fault_drop_reply(world):
    number = world.arm(kind="drop_reply", operation="change")
    with pytest.raises(botocore.exceptions.ConnectionClosedError):
        world.change(swap("void", "e1"))
    assert world.fence_value() == "e1"
    ledger = world.ledger()
    kinds = [(entry["kind"], entry["effective"]) for entry in ledger]
    assert kinds == [("change", True), ("dropped_reply", False)]
    assert ledger[0]["change_id"] == ledger[1]["change_id"]
    assert world.fault(number)["fired"] == 1
    world.change(swap("e1", "e2", WEST, EAST))  # once only


def test_fault_delay_until_release(world):
    number = world.arm(kind="delay", operation="change")
    with pytest.raises(botocore.exceptions.ReadTimeoutError):
        world.change(swap("void", "late"), timeout=1)
    assert world.fence_value() == "void"
    # Others pass by; the late one must then find that it lost.
    world.change(swap("void", "e1"))
    assert world.fault(number)["held"] == 1
    assert world.control("POST", f"/faults/{number}/release")[1]["released"] == 1
    assert world.fence_value() == "e1"
    late = world.ledger()[-1]
    assert (late["kind"], late["late"], late["comment"]) == ("refused", "delayed", "late")


def test_fault_delay_lands_after_the_client_has_gone(world):
    number = world.arm(kind="delay", operation="change", client="close", ms=300)
    with pytest.raises(botocore.exceptions.ConnectionClosedError):
        world.change(swap("void", "e1"))
    wait_for(lambda: world.fence_value() == "e1", "the delayed change")
    entry = world.effective()[-1]
    assert (entry["kind"], entry["late"], entry["fault"]) == ("change", "delayed", number)


def test_fault_delay_answers_a_client_that_waits(world):
    world.arm(kind="delay", operation="change", ms=200)
    before = time.monotonic()
    assert world.change(swap("void", "e1"))["Status"] == "PENDING"
    assert time.monotonic() - before >= 0.2


def test_fault_delay_may_expire(world):
    number = world.arm(kind="delay", operation="change", client="close", expire=True)
    with pytest.raises(LOST):
        world.change(swap("void", "e1"))
    world.control("POST", "/clock", {"offset_ms": 301_000})
    world.control("POST", f"/faults/{number}/release")
    assert world.fence_value() == "void"
    assert "Signature expired" in world.ledger()[-1]["message"]


def test_fault_duplicate(world):
    number = world.arm(kind="duplicate", operation="change")
    world.change(swap("void", "e1"))
    world.control("POST", f"/faults/{number}/release")
    again = world.ledger()[-1]
    assert (again["kind"], again["late"]) == ("refused", "duplicate")
    assert len(world.effective()) == 1
    # An UPSERT is not protected: that is what the ledger is for.
    number = world.arm(kind="duplicate", operation="change")
    upsert = {"Changes": [{"Action": "UPSERT", "ResourceRecordSet": fence("e2")}]}
    world.change(upsert)
    world.change(swap("e2", "e3", WEST, EAST))
    world.control("POST", f"/faults/{number}/release")
    assert world.fence_value() == "e2"
    assert [entry["fence_after"] for entry in world.effective()] == ["e1", "e2", "e3", "e2"]


@pytest.mark.parametrize("status", ["pending", "missing"])
def test_fault_forget(world, status):
    number = world.arm(kind="forget", status=status)
    # What is refused is not accepted, so it can't be forgotten.
    refusal(world.change, swap("other", "e0"))
    info = world.change(swap("void", "e1"))
    assert world.fence_value() == "e1"
    world.control("POST", f"/faults/{number}/release")
    assert world.fence_value() == "void"
    entry = world.ledger()[-1]
    assert (entry["kind"], entry["effective"]) == ("forgotten", True)
    assert (entry["fence_before"], entry["fence_after"]) == ("e1", "void")
    client = world.client()
    if status == "missing":
        assert refusal(client.get_change, Id=info["Id"])[0] == "NoSuchChange"
    else:
        assert client.get_change(Id=info["Id"])["ChangeInfo"]["Status"] == "PENDING"
    world.change(swap("void", "e2"))


@pytest.mark.parametrize(
    "fault, code, status",
    [
        ({"status": 500}, "InternalFailure", 500),
        ({"status": 503}, "ServiceUnavailable", 503),
        ({"code": "Throttling"}, "Throttling", 400),
        ({"code": "PriorRequestNotComplete"}, "PriorRequestNotComplete", 400),
    ],
)
def test_fault_error(world, fault, code, status):
    world.arm(kind="error", operation="change", count=2, **fault)
    for _ in range(2):
        assert refusal(world.change, swap("void", "e1"))[::2] == (code, status)
    assert world.fence_value() == "void"
    world.client().list_resource_record_sets(HostedZoneId=ZONE)
    world.change(swap("void", "e1"))


def test_fault_hang(world):
    number = world.arm(kind="hang", operation="list")
    with pytest.raises(botocore.exceptions.ReadTimeoutError):
        world.client(timeout=1).list_resource_record_sets(HostedZoneId=ZONE)
    assert world.fault(number)["fired"] == 1
    assert world.control("DELETE", f"/faults/{number}")[0] == 200
    assert world.control("GET", f"/faults/{number}")[0] == 404
    world.client().list_resource_record_sets(HostedZoneId=ZONE)


def test_fault_slow_goes_with_another(world):
    world.arm(kind="slow", ms=300, count=0)
    world.arm(kind="error", code="Throttling", operation="list")
    before = time.monotonic()
    assert refusal(
        world.client().list_resource_record_sets, HostedZoneId=ZONE
    )[0] == "Throttling"
    assert time.monotonic() - before >= 0.3


def test_fault_dead(world):
    client = world.client()
    client.list_hosted_zones()
    number = world.arm(kind="dead")
    with pytest.raises(LOST):
        client.list_hosted_zones()
    host, port = world.addresses["route53"].split(":")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, int(port)), timeout=5)
    world.client("sts").get_caller_identity()  # it has an endpoint of its own
    assert world.control("POST", f"/faults/{number}/release")[0] == 200
    client.list_hosted_zones()  # at the same port
    world.arm(kind="dead")
    assert world.control("POST", "/faults", {"kind": "alive"})[0] == 200
    client.list_hosted_zones()


def test_fault_of_sts_and_by_comment(world):
    world.arm(kind="error", status=500, operation="sts")
    assert refusal(world.client("sts").get_caller_identity)[2] == 500
    world.arm(kind="drop_reply", comment="e2")
    world.change(swap("void", "e1"))
    with pytest.raises(LOST):
        world.change(swap("e1", "e2", WEST, EAST))
    assert world.fence_value() == "e2"


# --- the ledger and foreign edits ---------------------------------------------------------------


def test_ledger_of_a_change(world):
    info = world.change(swap("void", "group e1"))
    (entry,) = world.ledger()
    assert entry["kind"] == "change" and entry["effective"] is True
    assert entry["zone"] == ZONE and entry["comment"] == "group e1"
    assert "/change/" + entry["change_id"] == info["Id"]
    assert entry["fence_name"] == FENCE
    assert (entry["fence_before"], entry["fence_after"]) == ("void", "group e1")
    assert abs(entry["t_ms"] / 1000 - time.time()) < WAIT_S
    assert abs(entry["mono_ms"] / 1000 - time.clock_gettime(time.CLOCK_BOOTTIME)) < WAIT_S
    records = {(record["name"], record["type"]): record for record in entry["records"]}
    assert set(records) == {(FENCE, "TXT"), ("nocturnal.com.", "A")}
    record = records[("nocturnal.com.", "A")]
    assert record["before"]["AliasTarget"]["DNSName"] == EAST
    assert record["after"]["AliasTarget"]["DNSName"] == WEST


def test_a_change_without_effect_is_accepted(world):
    info = world.change(swap("void", "void", EAST, EAST))
    (entry,) = world.ledger()
    assert entry["kind"] == "change" and entry["effective"] is False
    assert "/change/" + entry["change_id"] == info["Id"]
    assert entry["records"] == []
    assert (entry["fence_before"], entry["fence_after"]) == ("void", "void")


def test_foreign_edits(world):
    path = f"/zones/{ZONE}/edit"
    status, reply = world.control("POST", path, {"delete": {"Name": FENCE, "Type": "TXT"},
                                                 "comment": "clean-up"})
    assert status == 200 and reply["effective"]
    assert world.fence_value() is None
    refused = refusal(world.change, swap("void", "e1"))
    assert "but it was not found" in str(refused[1])
    status, _ = world.control("POST", path, {"changes": [{"set": fence("void")},
                                                         {"set": alias(WEST)}]})
    assert status == 200
    kinds = [(entry["kind"], entry["effective"]) for entry in world.ledger()]
    assert kinds == [("foreign", True), ("refused", False), ("foreign", True)]
    assert world.ledger()[0]["comment"] == "clean-up"
    world.change(swap("void", "e1", WEST, EAST))
    assert world.control("POST", path, {"delete": {"Name": "no.", "Type": "A"}})[0] == 404
    assert world.control("POST", path, {"nothing": 1})[0] == 400
    assert world.control(
        "POST", path, {"set": {"Name": "a.other.com", "Type": "A", "TTL": 1, "Values": ["1.2.3.4"]}}
    )[0] == 409


# --- DNS ----------------------------------------------------------------------------------------


def test_dig(make_world):
    world = make_world("--alias=web-1.us-east-1.elb.amazonaws.com=192.0.2.77")
    assert world.dig("nocturnal.com") == ["192.0.2.77"]
    assert world.dig("+tcp", "nocturnal.com") == ["192.0.2.77"]
    assert world.dig("NOCTURNAL.com") == ["192.0.2.77"]
    assert world.dig(FENCE, "TXT") == ['"void"']
    assert len(world.dig("nocturnal.com", "NS")) == 4
    host, port = world.addresses["dns"].split(":")
    nothing = subprocess.run(
        ["dig", f"@{host}", "-p", port, "no.nocturnal.com"],
        capture_output=True, text=True, check=True, timeout=WAIT_S,
    ).stdout
    assert "status: NXDOMAIN" in nothing and "SOA" in nothing


def test_dns_survives_garbage(world):
    host, port = world.addresses["dns"].split(":")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        for size in (1, 11, 12, 13, 40, 512, 4000):
            udp.sendto(os.urandom(size), (host, int(port)))
            udp.sendto(b"\0" * size, (host, int(port)))
    for data in (b"\0\0", b"\0\1x", b"\xff\xff" + os.urandom(65535), os.urandom(3)):
        with socket.create_connection((host, int(port)), timeout=5) as tcp:
            tcp.sendall(data)
            tcp.shutdown(socket.SHUT_WR)
            while tcp.recv(65536):
                pass
    assert world.dig("nocturnal.com") == ["127.0.1.1"]


# --- regions ------------------------------------------------------------------------------------


def ask(address, path="/", timeout=5, data=None):
    with urllib.request.urlopen(
        f"http://{address}{path}", timeout=timeout, data=data
    ) as reply:
        return reply.status, reply.read().decode()


def set_mode(world, region, mode):
    status, reply = world.control("POST", f"/regions/{region}", {"mode": mode})
    assert status == 200, reply


def test_region_modes(world):
    address = world.addresses["regions"]["us-east-1"]["http"]
    host, port = address.split(":")
    status, body = ask(address, "/api/health")
    assert status == 200 and '"ok":true,"region":"us-east-1"' in body

    set_mode(world, "us-east-1", "refuse")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, int(port)), timeout=5)
    set_mode(world, "us-east-1", "up")
    assert ask(address)[0] == 200  # at the same port

    set_mode(world, "us-east-1", "status:503")
    with pytest.raises(urllib.error.HTTPError) as caught:
        ask(address)
    assert caught.value.code == 503 and b'"ok":false' in caught.value.read()

    set_mode(world, "us-east-1", "body:not what you want")
    assert ask(address)[1] == "not what you want"

    set_mode(world, "us-east-1", "slow:200")
    before = time.monotonic()
    assert ask(address)[0] == 200
    assert time.monotonic() - before >= 0.2

    set_mode(world, "us-east-1", "reset")
    with pytest.raises(ConnectionResetError):
        with socket.create_connection((host, int(port)), timeout=5) as tcp:
            tcp.recv(1)

    set_mode(world, "us-east-1", "hang")
    with socket.create_connection((host, int(port)), timeout=0.3) as tcp:
        tcp.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        with pytest.raises(socket.timeout):
            tcp.recv(1)
    set_mode(world, "us-east-1", "up")
    assert ask(address)[0] == 200


def test_a_dying_region_breaks_open_connections(world):
    address = world.addresses["regions"]["us-west-2"]["api"]
    host, port = address.split(":")
    with socket.create_connection((host, int(port)), timeout=5) as tcp:
        tcp.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert tcp.recv(65536).startswith(b"HTTP/1.1 200 ")
        assert world.control("POST", "/regions/us-west-2/api", {"mode": "refuse"})[0] == 200
        with pytest.raises(ConnectionResetError):
            tcp.recv(1)
    # Only that service died.
    assert ask(world.addresses["regions"]["us-west-2"]["http"])[0] == 200


def test_writes_are_counted(world):
    address = world.addresses["regions"]["us-west-2"]["http"]
    for _ in range(3):
        ask(address, "/write", data=b"{}")
    set_mode(world, "us-west-2", "status:503")
    with pytest.raises(urllib.error.HTTPError):
        ask(address, "/write", data=b"{}")
    stats = world.control("GET", "/stats")[1]
    assert stats["regions"]["us-west-2"]["http"]["writes"] == 3
    assert stats["regions"]["us-east-1"]["http"]["writes"] == 0


def test_https_service(tmp_path, make_world):
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-keyout", key, "-out", certificate, "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"],
        check=True, capture_output=True, timeout=WAIT_S,
    )
    world = make_world(f"--tls={certificate}:{key}")
    address = world.addresses["regions"]["us-east-1"]["https"]
    context = ssl.create_default_context(cafile=str(certificate))
    with urllib.request.urlopen(f"https://{address}/", context=context, timeout=5) as reply:
        assert '"region":"us-east-1"' in reply.read().decode()
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(f"https://{address}/", timeout=5)
    with pytest.raises(OSError):
        ask(address)  # plain HTTP
    # With a CA, a client needs a certificate.
    strict = make_world(f"--tls={certificate}:{key}:{certificate}")
    address = strict.addresses["regions"]["us-east-1"]["https"]
    with pytest.raises(OSError):
        urllib.request.urlopen(f"https://{address}/", context=context, timeout=5)
    context.load_cert_chain(certificate, key)
    with urllib.request.urlopen(f"https://{address}/", context=context, timeout=5) as reply:
        assert reply.status == 200


# --- the process --------------------------------------------------------------------------------


def raw(address, data, timeout=5):
    """What comes back until the connection ends."""
    host, port = address.split(":")
    got = b""
    with socket.create_connection((host, int(port)), timeout=timeout) as tcp:
        try:
            tcp.sendall(data)
            tcp.shutdown(socket.SHUT_WR)
            while True:
                part = tcp.recv(65536)
                if not part:
                    break
                got += part
        except (ConnectionResetError, BrokenPipeError):
            pass
    return got


def test_garbage_is_bounded(world):
    long_header = b"GET / HTTP/1.1\r\nX: " + b"y" * 200_000 + b"\r\n\r\n"
    many_headers = b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 1000 + b"\r\n"
    long_url = b"GET /" + b"y" * 200_000 + b" HTTP/1.1\r\n\r\n"
    big_body = b"POST / HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n" + b"y" * 1000
    chunked = (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
               + (b"10000\r\n" + b"y" * 65536 + b"\r\n") * 20 + b"0\r\n\r\n")
    addresses = [world.addresses[name] for name in ("control", "route53", "sts")]
    addresses.append(world.addresses["regions"]["us-east-1"]["http"])
    for address in addresses:
        for data in (long_header, many_headers, long_url, big_body, chunked, b"\0" * 100,
                     os.urandom(5000), b"\r\n" * 10, b"GET", b""):
            answer = raw(address, data)
            assert answer == b"" or answer.startswith(b"HTTP/1.1 4"), (address, data[:40])
    assert world.control("GET", "/stats")[0] == 200
    assert world.client().list_hosted_zones()["HostedZones"]


def test_refusals_can_be_read(world):
    address = world.addresses["control"]
    host, port = address.split(":")
    for data, status in (
        (b"POST /faults HTTP/1.1\r\nContent-Length: 2000000\r\n\r\n" + b"x" * 300_000, b"413"),
        (b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 200 + b"\r\n", b"431"),
        (b"nonsense\r\n\r\n", b"400"),
    ):
        with socket.create_connection((host, int(port)), timeout=5) as tcp:
            tcp.sendall(data)
            assert tcp.recv(65536).split(b" ")[1] == status


def test_pipelined_and_split_requests(world):
    address = world.addresses["regions"]["us-east-1"]["http"]
    host, port = address.split(":")
    one = b"GET / HTTP/1.1\r\nHost: x\r\nEmpty:\r\n\r\n"
    with socket.create_connection((host, int(port)), timeout=5) as tcp:
        tcp.sendall(one * 20)
        got = b""
        while got.count(b"HTTP/1.1 200 ") < 20:
            got += tcp.recv(65536)
        for byte in one:
            tcp.sendall(bytes([byte]))
        assert b"HTTP/1.1 200 " in tcp.recv(65536)
        plain = b"POST /write HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc"
        chunked = b"POST /write HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
        tcp.sendall((plain + chunked) * 5 + one)
        got = b""
        while got.count(b"HTTP/1.1 200 ") < 11:
            got += tcp.recv(65536)
    stats = world.control("GET", "/stats")[1]["regions"]["us-east-1"]["http"]
    assert (stats["requests"], stats["writes"]) == (32, 10)


def test_too_many_connections(world):
    address = world.addresses["regions"]["us-east-1"]["http"]
    host, port = address.split(":")
    held = []
    refused = 0
    for _ in range(600):
        try:
            held.append(socket.create_connection((host, int(port)), timeout=5))
        except ConnectionResetError:
            refused += 1  # before connect() had returned
    wait_for(lambda: refused + sum(is_reset(one) for one in held) == 600 - 512, "resets")
    for one in held:
        one.close()
    wait_for(lambda: is_answered(address), "an answer when the crowd has gone")


def is_reset(tcp):
    tcp.setblocking(False)
    try:
        return tcp.recv(1, socket.MSG_PEEK) == b""
    except BlockingIOError:
        return False
    except ConnectionResetError:
        return True


def is_answered(address):
    try:
        return ask(address)[0] == 200
    except OSError:
        return False


@pytest.mark.parametrize(
    "method, path, body, status",
    [
        ("GET", "/nothing", None, 404),
        ("GET", "/a/b/c/d/e/f", None, 404),
        ("PUT", "/faults", None, 405),
        ("POST", "/faults", {"kind": "explode"}, 400),
        ("POST", "/faults", {"kind": "delay", "mss": 1}, 400),
        ("POST", "/faults", [], 400),
        ("POST", "/faults", None, 400),
        ("POST", "/faults/9/release", None, 404),
        ("POST", "/faults/x/release", None, 404),
        ("DELETE", "/faults/9", None, 404),
        ("POST", "/regions/mars", {"mode": "up"}, 404),
        ("POST", "/regions/us-east-1/none", {"mode": "up"}, 404),
        ("POST", "/regions/us-east-1", {"mode": "slow:x"}, 400),
        ("POST", "/regions/us-east-1", {"mode": 1}, 400),
        ("GET", "/zones/ZNONE", None, 404),
        ("POST", "/clock", {"offset_ms": "x"}, 400),
        ("GET", "/ledger?since=x", None, 400),
    ],
)
def test_control_errors_are_clear(world, method, path, body, status):
    got, reply = world.control(method, path, body)
    assert got == status
    assert reply["error"]


def test_control_ledger_since(world):
    world.change(swap("void", "e1"))
    world.change(swap("e1", "e2", WEST, EAST))
    entries = world.control("GET", "/ledger")[1]["entries"]
    assert entries == world.ledger()
    newer = world.control("GET", f"/ledger?since={entries[0]['seq']}")[1]["entries"]
    assert [entry["comment"] for entry in newer] == ["e2"]


def test_shutdown_by_control(tmp_path):
    world = World(tmp_path)
    world.arm(kind="delay", operation="change", client="close")
    with pytest.raises(LOST):
        world.change(swap("void", "e1"))
    assert world.control("POST", "/shutdown")[0] == 200
    assert world.process.wait(timeout=WAIT_S) == 0
    world.process.communicate()


@pytest.mark.parametrize(
    "options, words",
    [
        (["--zone=bad"], "a zone is ID:NAME"),
        (["--zone=Z1:a..b"], "DomainLabelEmpty"),
        (["--access-key=only"], "AKID:SECRET"),
        (["--region=us-east-1:api=x"], "is not a port"),
        (["--region=us-east-1", "--region=us-east-1"], "twice"),
        (["--alias=nothing"], "DNSNAME=IP"),
        (["--records=/nonexistent"], "nonexistent"),
        (["--tls=/nonexistent:/nonexistent"], "TLS"),
        (["--insync-ms=soon"], "is not a number"),
        (["--nonsense"], "unrecognized option"),
        (["stray"], "unexpected argument"),
    ],
)
def test_wrong_command_lines(tmp_path, options, words):
    (tmp_path / "world.json").write_text("of an earlier run")
    done = subprocess.run(
        [str(WORLD), f"--directory={tmp_path}", *options],
        capture_output=True, text=True, timeout=WAIT_S,
    )
    assert done.returncode != 0
    assert words in done.stderr
    if "option" not in words and "argument" not in words and "number" not in words:
        assert not (tmp_path / "world.json").exists()


