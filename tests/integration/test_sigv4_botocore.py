"""Signatures of the driver's requests, checked by an independent signer (botocore).

A server on loopback takes each request apart as it came over the wire and lets botocore sign the
same again, from decoded parameters, so that a query that isn't sorted or strictly encoded fails.
"""

import http.server
import os
import subprocess
import threading
import urllib.parse

import noctua
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

TOOL = noctua.BUILD / "tests" / "unit" / "driver" / "aws-request"
KEY = "AKIDEXAMPLE"
SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"


class Verifier(http.server.BaseHTTPRequestHandler):
    """Answers 200 with "good" when botocore comes to the same signature, else 403 with why not."""

    def log_message(self, *arguments):
        pass

    def check(self, body):
        headers = [(k.lower(), v) for k, v in self.headers.items()]
        for name in ("authorization", "x-amz-date", "host"):
            if sum(k == name for k, _ in headers) != 1:
                return f"not one {name}"
        scheme, rest = self.headers["Authorization"].split(" ", 1)
        if scheme != "AWS4-HMAC-SHA256":
            return "another scheme"
        parts = dict(p.strip().split("=", 1) for p in rest.split(","))
        key, _, region, service, ending = parts["Credential"].split("/")
        if key != KEY or ending != "aws4_request":
            return "another key"
        signed = parts["SignedHeaders"].split(";")
        if signed != sorted(signed):
            return "signed headers that aren't sorted"
        token = self.headers.get("X-Amz-Security-Token")
        must = {"host", "x-amz-date"} | ({"x-amz-security-token"} if token else set())
        if not must <= set(signed):
            return f"not signed: {must - set(signed)}"
        if (token or "") != self.server.token:
            return "another token"

        target = urllib.parse.urlsplit(self.path)
        parameters = urllib.parse.parse_qsl(
            target.query, keep_blank_values=True, strict_parsing=bool(target.query)
        )
        self.server.parameters = parameters
        request = AWSRequest(
            method=self.command,
            url=f"http://{self.headers['Host']}{target.path}",
            params=parameters,
            data=body,
        )
        for name in signed:
            request.headers[name] = self.headers[name]
        request.context["timestamp"] = self.headers["X-Amz-Date"]
        auth = SigV4Auth(Credentials(KEY, SECRET), service, region)
        canonical = auth.canonical_request(request)
        expected = auth.signature(auth.string_to_sign(request, canonical), request)
        if expected != parts["Signature"]:
            return f"another signature; canonical request:\n{canonical}"
        return None

    def answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.body = body
        problem = self.check(body)
        text = (problem or "good").encode()
        self.send_response(403 if problem else 200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_POST = do_PUT = answer


@pytest.fixture
def server():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Verifier)
    server.token = ""
    server.body = server.parameters = None
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def send(server, method, path, *options, service="route53", region="us-east-1", secret=SECRET):
    environment = {
        **os.environ,
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": secret,
        "AWS_SESSION_TOKEN": server.token,
    }
    url = f"http://127.0.0.1:{server.server_address[1]}{path}"
    return subprocess.run(
        [TOOL, method, url, service, region, *options],
        env=environment,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def assert_good(done):
    assert done.returncode == 0, done.stderr
    assert done.stdout == "200\ngood\n"


QUERIES = {
    "none": [],
    "one": [("maxitems", "300")],
    "to be sorted": [("type", "A"), ("name", "nocturnal.com."), ("maxitems", "300")],
    "names that begin alike": [("a-b", "1"), ("a", "2"), ("a.b", "3"), ("a1", "4"), ("A", "5")],
    "one name twice": [("a", "2"), ("a", "10"), ("a", "1")],
    "spaces": [("identifier", "my set"), ("b c", " ")],
    "unicode": [("identifier", "zürich ☃ \U0001f680")],
    "empty values": [("location", ""), ("a", "")],
    "escapes of a name": [("name", "\\052.nocturnal.com.")],
    "delimiters": [("a", "/?#[]@!$&'()*+,;=:%"), ("b", "a+b&c=d%20")],
    "unreserved": [("a", "AZaz09-._~")],
}


@pytest.mark.sanitizers
@pytest.mark.parametrize("name", QUERIES)
@pytest.mark.parametrize("token", ["", "FwoGZXIvYXdzE//+/=="])
def test_query(server, name, token):
    server.token = token
    options = [o for k, v in QUERIES[name] for o in ("-q", f"{k}={v}")]
    assert_good(send(server, "GET", "/2013-04-01/hostedzone/Z1234567890ABC/rrset", *options))
    assert sorted(server.parameters) == sorted(QUERIES[name])


BODIES = {
    "xml": ("application/xml", '<?xml version="1.0"?>\n<a xmlns="https://x/">ü &amp; "q"</a>'),
    "form": (
        "application/x-www-form-urlencoded; charset=utf-8",
        "Action=AssumeRole&RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fx&Version=2011-06-15",
    ),
    "large": ("application/xml", "<a>" + "x" * 100000 + "</a>"),
    "empty": ("application/xml", ""),
}


@pytest.mark.parametrize("name", BODIES)
@pytest.mark.parametrize("token", ["", "x" * 2000 + "+/="])
def test_body(server, name, token):
    kind, body = BODIES[name]
    server.token = token
    path = "/2013-04-01/hostedzone/Z1234567890ABC/rrset/"
    assert_good(send(server, "POST", path, "-H", f"Content-Type: {kind}", "-d", body))
    assert server.body.decode() == body


def test_own_host_header(server):
    assert_good(send(server, "GET", "/2013-04-01/change/C1", "-H", "Host: route53.amazonaws.com"))


def test_own_headers(server):
    assert_good(
        send(server, "GET", "/", "-H", "X-Amz-Zzz: 1", "-H", "Accept: text/xml", "-H", "X-Abc: 2")
    )


@pytest.mark.parametrize("path", ["", "/", "/a%20b/c%3Ad", "/~x-._/y/", "/a:b@c/d=e,f+g"])
def test_path(server, path):
    assert_good(send(server, "GET", path, "-q", "a=b"))


def test_spaces_in_a_header(server):
    assert_good(send(server, "GET", "/", "-H", "X-Amz-Zzz:  a  b\t c ", "-H", "x-abc:d"))


@pytest.mark.parametrize("region", ["us-east-1", "eu-central-1", "us-gov-west-1"])
def test_sts_in_its_region(server, region):
    body = "Action=GetCallerIdentity&Version=2011-06-15"
    assert_good(send(server, "POST", "/", "-d", body, service="sts", region=region))


def test_another_secret_is_found_out(server):
    done = send(server, "GET", "/2013-04-01/change/C1", secret="guessed")
    assert done.stdout.startswith("403\nanother signature")
