#!/usr/bin/python3
"""Replays what real MongoDB servers answered, against the world's replica set on virtual time.

Usage: mongo_replay.py CONSOLE TRANSCRIPT.xz SCRIPT NOT_MODELLED [--scenario PREFIX] [--write] [--verbose]

Each scenario of the transcript gets a set of its own. What was done to its servers is taken from the
timelines' marks, from who answered in them and, where a transcript keeps silent, from SCRIPT. Who succeeded
a lost primary is taken from the recording, too: the others are frozen until then. Requests go
out at the time at which they were recorded; a request waits (and everything after it) until its member is
in the state in which it was recorded. Of a reply its shape is compared, names and BSON types at every
depth, and ok, code, codeName, writeConcernError and writeErrors; of long waits the time, within a factor.
Of a timeline the order in which members became writable or ceased to be is compared, and when.

NOT_MODELLED lists, with a reason, every exchange that isn't expected to agree. The test fails when one that
isn't listed differs, and when one that is listed agrees. --write writes the list anew, keeping reasons.
"""

import argparse
import collections
import copy
import datetime
import json
import lzma
import re
import subprocess
import sys

from bson import json_util

BASE = ["127.0.0.1:27117", "127.0.0.1:27118", "127.0.0.1:27119"]
STATES = {0: "STARTUP", 1: "PRIMARY", 2: "SECONDARY", 3: "RECOVERING", 5: "STARTUP2", 7: "ARBITER",
          8: "ECONNREFUSED", 9: "ROLLBACK", 10: "InvalidReplicaSetConfig"}
# A reply that took a second and more must take as long, within this factor.
LONG_MS, FACTOR = 1000, 2.0
# How long a request waits for its member's state.
PATIENCE_MS = 20000
SLACK_MS = 30000

class Console:
    """The set on virtual time, in a process of its own."""

    def __init__(self, path):
        self.process = subprocess.Popen([path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.events = []

    def do(self, verb, **fields):
        self.process.stdin.write(json.dumps({"do": verb, **fields}) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"mongo-console ended at {verb} {str(fields)[:300]}")
        answer = json.loads(line)
        self.events += answer["replies"]
        return answer

    def end(self):
        self.process.stdin.close()
        self.process.wait()


def plain(number):
    if isinstance(number, dict):
        return float(next(iter(number.values())))
    return number


def succeeded(entry):
    reply = entry.get("reply")
    return isinstance(reply, dict) and plain(reply.get("ok", 0)) == 1


def shape(value):
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [shape(inner) for inner in value]
    return type(value).__name__


def essence(reply):
    trouble = reply.get("writeConcernError") or {}
    errors = reply.get("writeErrors") or []
    return [reply.get("ok"), reply.get("code"), reply.get("codeName"), trouble.get("code"),
            [error.get("code") for error in errors]]


# Of these every outcome that was recorded will do: a process that wakes up races with itself.
UNSURE = "^stale primary just woken"
RACY = {"replSetInitiate": ["$clusterTime", "operationTime"]}


def difference(command, expected, reply):
    """Why the replies differ, or None. What is racy in the recording itself isn't looked at."""
    expected, reply = (json_util.loads(json.dumps(x)) for x in (expected, reply))
    for key in RACY.get(command, []):
        expected.pop(key, None)
        reply.pop(key, None)
    if essence(expected) != essence(reply):
        return f"{essence(reply)}, not {essence(expected)}"
    return shape_difference(shape(expected), shape(reply), "")


def shape_difference(expected, reply, path):
    if type(expected) is not type(reply):
        return f"{path}: {reply}, not {expected}"
    if isinstance(expected, dict):
        missing = sorted(set(expected) - set(reply))
        extra = sorted(set(reply) - set(expected))
        if missing or extra:
            return f"{path}: without {missing}, with {extra}"
        inner = (shape_difference(expected[k], reply[k], f"{path}.{k}") for k in expected)
        return next(filter(None, inner), None)
    if isinstance(expected, list):
        pairs = zip(expected, reply)
        return next(filter(None, (shape_difference(a, b, f"{path}[]") for a, b in pairs)), None)
    return None if expected == reply else f"{path}: {reply}, not {expected}"


def instant(entry):
    text = entry["time"].replace("Z", "+00:00")
    return int(datetime.datetime.fromisoformat(text).timestamp() * 1000)


class Scenario:
    def __init__(self, console, release, name, entries, everything, script):
        self.everything = everything
        self.script = [row for row in script if row[0] == release and name.startswith(row[1])]
        self.console = console
        self.release = release
        self.name = name
        self.entries = entries
        self.results = {}  # key -> None or why it differs
        self.pending = {}
        self.now = 0
        self.drift = 0
        self.connection = 0
        self.request = 0
        self.changes = []  # (at, process, writable)
        self.versions = None
        self.marks = []
        self.concurrent = {}
        self.offsets = {}
        self.current = set()  # the hosts of the set that was initiated last
        self.prepare()

    # --- what was recorded ---

    def start_of(self, entry):
        at = instant(entry)
        if self.release == "3.6":
            return at
        if "events" in entry:
            return at - int(plain(entry["seconds"]) * 1000)
        return at

    def prepare(self):
        members = []
        names = collections.Counter()
        for entry in self.entries:
            names[entry["case"]] += 1
            entry["key"] = f"{entry['case']} #{names[entry['case']]}"
            entry["start"] = self.start_of(entry)
            for event in [entry, *self.events_of(entry)]:
                host = event.get("member")
                if host is not None and (host not in members):
                    members.append(host)
        if self.release == "3.6":
            members = list(dict.fromkeys([*BASE, *members]))
        named = []
        for entry in self.entries:
            request = entry.get("request") or {}
            config = request.get("replSetInitiate") or request.get("replSetReconfig")
            reachable = not re.search("refuse|unreachable", entry["case"])
            if isinstance(config, dict) and succeeded(entry) and reachable:
                named += [m["host"] for m in config.get("members", [])]
        members = list(dict.fromkeys([*(named if self.release == "4.4" else []), *members]))
        self.hosts = members[:16]
        self.entries.sort(key=lambda e: e["start"])
        self.primaries = [
            (e["start"], e["member"]) for e in self.entries if e.get("memberStateBefore") == "PRIMARY"
        ]
        for entry in self.entries:
            for event in self.events_of(entry):
                view = event.get("view") or event.get("reply") or {}
                at = entry["start"] + int(plain(event.get("tMs", 0)))
                if isinstance(view, dict) and (view.get("ismaster") or view.get("primary") is True):
                    self.primaries.append((at, event["member"]))
                elif isinstance(view, dict) and view.get("seesPrimary"):
                    self.primaries.append((at, view["seesPrimary"]))
        for entry in self.entries:
            if "replSetInitiate" in (entry.get("request") or {}) and succeeded(entry):
                self.primaries.append((entry["start"] + 1000, entry["member"]))
        self.primaries.sort()
        self.actions = []
        for index, entry in enumerate(self.entries):
            self.actions.append((entry["start"], 1, index, entry))
            self.actions += self.faults_of(entry, index)
        self.actions.sort(key=lambda a: a[:3])
        self.first = self.entries[0]["start"]
        self.set_ids = collections.Counter()
        for entry in self.entries:
            config = entry["reply"].get("config") if isinstance(entry.get("reply"), dict) else None
            for document in [config, (entry.get("request") or {}).get("replSetReconfig")]:
                if isinstance(document, dict) and "replicaSetId" in (document.get("settings") or {}):
                    self.set_ids[document["settings"]["replicaSetId"]["$oid"]] += 1

    @staticmethod
    def events_of(entry):
        timeline = entry.get("timeline")
        events = isinstance(timeline, list) and timeline and isinstance(timeline[0], dict)
        return timeline if events else entry.get("events") or []

    def faults_of(self, entry, index):
        """From marks and from who answered in a timeline."""
        faults = []
        ports = [int(p) for p in re.findall(r"\b(\d{5})\b", entry["case"])]
        marked = set()
        for event in self.events_of(entry):
            mark = event.get("mark")
            if mark is None:
                continue
            at = entry["start"] + int(plain(event["tMs"]))
            named = [int(p) for p in re.findall(r"\b(\d{5})\b", mark)]
            for what in self.understand(mark, named, ports, entry["case"]):
                faults.append((at, 0, index, what))
                marked.add(what[0])
        gone = {}
        for event in self.events_of(entry):
            host = event.get("member")
            if host is None or self.release != "3.6":
                continue
            at = entry["start"] + int(plain(event["tMs"]))
            trouble = event.get("noReply")
            port = int(host.rsplit(":", 1)[1])
            if trouble is not None and host not in gone:
                gone[host] = at
                if "kill" not in marked and "shutdown" not in marked and ("REFUSED" in str(trouble)):
                    faults.append((at - 20, 0, index, ("kill", port)))
            elif trouble is None and host in gone:
                del gone[host]
                if "start" not in marked and "continue" not in marked:
                    faults.append((at - 650, 0, index, ("start", port)))
        if self.release == "4.4" and "events" in entry:
            faults += [(entry["start"], 0, index, what) for what in self.understand_44(entry["case"])]
        return faults

    @staticmethod
    def understand(mark, named, ports, case):
        if mark.startswith("kill") and "black hole" in mark:
            lost = ports[:-1] if "survives" in case else ports
            return [(what, p) for p in lost for what in ("blackhole", "kill")]
        if mark.startswith("kill -9 of both"):
            return [("kill", "others")]
        if mark.startswith("kill"):
            old = re.search(r"old primary (\d+)", case)
            told = ports[:2] if "and one secondary" in case else ports[:1]
            who = named or ([int(old.group(1))] if old else told) or ["primary"]
            return [("kill", p) for p in who]
        if mark.startswith("SIGSTOP"):
            old = re.search(r"old primary (\d+)", case)
            return [("stop", p) for p in named or ([int(old.group(1))] if old else ports[:1])]
        if mark.startswith("SIGCONT"):
            return [("continue", "all")]
        if mark.startswith("SIGTERM"):
            return [("shutdown", p) for p in ports[:1]]
        if mark.startswith("start") and "survivor" in case and "paused" in case:
            return [("stop", "writable"), *[("start", p) for p in named]]
        if mark.startswith(("restart", "start")):
            return [("start", p) for p in named] or [("start", "all")]
        if mark == "cut":
            if "only the link" in case:
                return [("cut", ports[0], ports[1])]
            return [("cut", ports[0], "all")]
        if mark == "heal":
            return [("heal",)]
        if mark == "apply released":
            return [("applygo", "all")]
        return []

    @staticmethod
    def understand_44(case):
        if "kill -9 ->" in case or case.startswith("kill -9 of the primary"):
            return [("start", "all"), ("kill", "primary")]
        if case.startswith("restart of the old"):
            return [("start", "all")]
        if case.startswith("SIGSTOP of the primary"):
            return [("continue", "all"), ("stop", "primary")]
        if case.startswith("SIGTERM of the primary"):
            return [("start", "all"), ("run", 3000), ("shutdown", "primary")]
        return []

    # --- the set ---

    def process(self, port):
        return self.hosts.index(f"127.0.0.1:{port}")

    def view(self, process):
        answer = self.console.do("view", process=process)
        return {key: plain(value) for key, value in answer.items() if key not in ("replies", "now")}

    def primary(self):
        views = [self.view(p) for p in range(len(self.hosts))]
        inside = [p for p, host in enumerate(self.hosts) if not self.current or host in self.current]
        found = [p for p in inside if views[p]["writable"]] or [p for p in inside if views[p]["state"] == 1]
        return max(found, key=lambda p: views[p]["term"], default=None)

    def others(self):
        primary = self.primary()
        return [p for p in range(len(self.hosts)) if p != primary and self.view(p)["state"] in (2, 3) and (
            not self.current or self.hosts[p] in self.current)]

    def run(self, until):
        if until > self.now:
            self.now = until
            self.console.do("run", until=until)
            self.collect()

    def collect(self):
        for event in self.console.events:
            if "process" in event:
                self.changes.append((plain(event["at"]), int(plain(event["process"])), event["writable"]))
            elif "id" in event or "closed" in event:
                entry = self.pending.pop(int(plain(event["connection"])), None)
                if entry is not None:
                    self.judge(entry, event)
        self.console.events = []

    def connect(self, process):
        self.connection += 1
        answer = self.console.do("connect", process=process, connection=self.connection)
        return self.connection if answer["ok"] else None

    def ask(self, process, command, database="admin"):
        """Asks and waits; the raw reply, or None."""
        connection = self.connect(process)
        if connection is None:
            return None
        self.collect()
        self.request += 1
        self.console.do("request", connection=connection, id=self.request, database=database, command=command)
        for _ in range(40):
            for event in self.console.events:
                if int(plain(event.get("connection", -1))) == connection:
                    self.console.events.remove(event)
                    self.collect()
                    return event.get("reply")
            self.collect()
            self.now += 50
            self.console.do("run", until=self.now)
        return None

    def resolve(self, who):
        if who == "primary":
            for _ in range(PATIENCE_MS // 50):
                if self.primary() is not None and self.view(self.primary())["writable"]:
                    break
                self.drift += 50
                self.run(self.now + 50)
            return [p for p in [self.primary()] if p is not None]
        if who == "writable":
            return [p for p in range(len(self.hosts)) if self.view(p)["writable"]]
        if who == "others":
            return self.others()
        if str(who).startswith("member "):
            return self.resolve(int(who.split()[1]))
        if who in ("first secondary", "second secondary"):
            others = self.others()
            return others[:1] if who.startswith("first") else others[1:2]
        if who == "all":
            return range(len(self.hosts))
        host = f"127.0.0.1:{who}"
        return [self.hosts.index(host)] if host in self.hosts else []

    def hold_back(self, lost):
        """The primary is about to be lost: who didn't succeed it in the recording mustn't stand first."""
        now = self.now - self.zero - self.drift
        present = next((h for t, h in reversed(self.primaries) if t < now + 250), None)
        won = next(((t, h) for t, h in self.primaries if t >= now + 250 and h != present), None)
        if won is None or won[0] - now > 25000 or won[1] not in self.hosts:
            return
        for p in range(len(self.hosts)):
            if p not in lost and self.hosts[p] != won[1] and self.view(p)["state"] == 2:
                connection = self.connect(p)
                if connection is not None:
                    self.request += 1
                    seconds = int((won[0] - now) / 1000) + 2
                    self.console.do("request", connection=connection, id=self.request, database="admin",
                                    command={"replSetFreeze": seconds})

    def act(self, what):
        kind = what[0]
        if kind == "run":
            self.drift += what[1]
            self.run(self.now + what[1])
        elif kind == "reset":
            for p in range(len(self.hosts)):
                self.console.do("fate", process=p, fate="wipe")
                self.console.do("fate", process=p, fate="start")
            self.drift += 18000
            self.run(self.now + 1000)
            self.initiate()
            self.run(self.now + 17000)
            self.versions = None
        elif kind == "heal":
            for a in range(len(self.hosts)):
                for b in range(len(self.hosts)):
                    self.console.do("cut", **{"from": a, "to": b, "on": False})
        elif kind == "cut":
            one = self.process(what[1])
            if self.primary() == one:
                self.hold_back([one])
            for other in range(len(self.hosts)) if what[2] == "all" else [self.process(what[2])]:
                if other != one:
                    self.console.do("cut", **{"from": one, "to": other, "on": True})
                    self.console.do("cut", **{"from": other, "to": one, "on": True})
        elif kind == "standalone":
            for p in self.resolve(what[1]):
                self.console.do("standalone", process=p, on=True)
                self.console.do("fate", process=p, fate="kill")
                self.console.do("fate", process=p, fate="start")
            self.drift += 1000
            self.run(self.now + 1000)
        elif kind in ("applystop", "applygo"):
            for p in self.resolve(what[1]):
                mode = "alwaysOn" if kind == "applystop" else "off"
                self.ask(p, {"configureFailPoint": "rsSyncApplyStop", "mode": mode})
        elif kind in ("freeze", "unfreeze"):
            for p in self.resolve(what[1]):
                self.ask(p, {"replSetFreeze": 60 if kind == "freeze" else 0})
        elif kind == "insert":
            for p in self.resolve(what[1]):
                self.ask(p, {"insert": "c", "documents": [{"x": 1}]}, "app")
        elif kind == "blackhole":
            for p in self.resolve(what[1]):
                self.console.do("blackHole", process=p, on=True)
        elif kind == "slowsync":
            for p in self.resolve(what[1]):
                self.console.do("syncDuration", process=p, ms=12000)
        elif kind in ("crash", "kill", "start", "stop", "continue", "shutdown"):
            targets = list(self.resolve(what[1]))
            hands_over = kind == "shutdown" and self.release == "4.4"
            if kind in ("kill", "stop", "shutdown") and not hands_over and self.primary() in targets:
                self.hold_back(targets)
            for p in targets:
                self.console.do("fate", process=p, fate="kill" if kind == "crash" else kind)
        self.collect()

    # --- replaying ---

    def steps_of(self, when, case):
        row = next((r for r in self.script if r[2] == when and re.search(r[3], case)), None)
        steps = [step.split(" ", 1) for step in row[4].split("; ")] if row else []
        return [(kind, *(int(x) if x.isdigit() else x for x in rest)) for kind, *rest in steps]

    def set_up(self):
        wall = self.first - 40000
        name = "nocturnal" if self.release == "3.6" else "rs0"
        self.console.events = []
        self.console.do("create", release=self.release, name=name, hosts=self.hosts, seed=7, wall=wall)
        for p in range(len(self.hosts)):
            self.console.do("fate", process=p, fate="start")
        self.run(2000)
        first = next((e["memberStateBefore"] for e in self.entries if e.get("memberStateBefore")), "PRIMARY")
        fresh = first in ("NotYetInitialized", "NoReplicationEnabled")
        self.favour(self.first - 10000)
        if not fresh:
            self.initiate()
        self.run(38000)
        self.zero = 38000 - self.first

    def initiate(self):
        members = [{"_id": i, "host": h} for i, h in enumerate(self.base_hosts())]
        if "psa" in self.name:
            members[2]["arbiterOnly"] = True
        name = "nocturnal" if self.release == "3.6" else "rs0"
        self.ask(0, {"replSetInitiate": {"_id": name, "version": 1, "members": members}})

    def base_hosts(self):
        if self.release == "3.6":
            return self.hosts[:5] if "five" in self.name else BASE
        return self.hosts[:3]

    def favour(self, at):
        """Who was to win the next election, in the recording. Its timers are drawn long before."""
        present = next((h for t, h in reversed(self.primaries) if t < at + 250), None)
        host = next((h for t, h in self.primaries if t >= at + 250 and h != present), present)
        if host in self.hosts:
            self.console.do("favour", process=self.hosts.index(host))

    def replay(self):
        self.set_up()
        for at, _, _, action in self.actions:
            if at > self.first:
                self.await_finished(at)
            self.run(max(self.now, at + self.zero + self.drift))
            self.favour(at)
            if isinstance(action, tuple):
                self.act(action)
                continue
            for step in self.steps_of("before", action["case"]):
                self.act(step)
            if "request" in action:
                self.send(action)
            elif self.events_of(action):
                self.marks.append((action, at + self.zero + self.drift))
            elif "reply" in action:
                self.results[action["key"]] = "the request isn't recorded"
        self.run(self.now + SLACK_MS)
        for entry in self.pending.values():
            self.judge(entry, None)
        for group in self.concurrent.values():
            self.judge_concurrent(group)
        for entry, began in self.marks:
            self.results["timeline: " + entry["key"]] = self.judge_timeline(entry, began)
        return self.results

    def await_finished(self, at):
        """What had been answered by then in the recording is to be answered here, too."""
        waited = 0
        for connection, entry in list(self.pending.items()):
            elapsed = plain(entry.get("elapsedMs", 0))
            if entry.get("reply") is None or entry["start"] + elapsed > at:
                continue
            while connection in self.pending and waited < elapsed * FACTOR + 100:
                waited += 5
                self.run(self.now + 5)
        behind = self.now - (at + self.zero + self.drift)
        if behind > 0:
            self.drift += behind

    def wait_for_state(self, process, wanted):
        names = dict.fromkeys(["NoReplicationEnabled", "NotYetInitialized", "uninitiated"], ["STARTUP"])
        waited = 0
        while waited < PATIENCE_MS:
            view = self.view(process)
            state = STATES.get(int(view["state"]))
            settled = wanted != "PRIMARY" or view["writable"] or self.release == "3.6" and waited > 3000
            if wanted not in [*STATES.values(), *names] or (state in names.get(wanted, [wanted]) and settled):
                return
            waited += 50
            self.drift += 50
            self.run(self.now + 50)
        self.drift -= waited

    def adapt(self, entry, process):
        """The request with the versions and identifiers of this set."""
        command = copy.deepcopy(entry["request"])
        config = command.get("replSetReconfig")
        if isinstance(config, dict):
            held = self.view(process)["configVersion"]
            version = config.get("version")
            if version is not None and not command.get("force"):
                asked = plain(version)
                if self.versions is None:
                    self.versions = asked - 1
                offset = held - self.versions
                if "concurrent" in entry["case"]:
                    offset = self.offsets.setdefault(self.group_of(entry), offset)
                if 0 < asked < 2**31 - 1:
                    config["version"] = {"$numberInt": str(int(asked + offset))}
                # 50 tells that it is installed, but not yet everywhere.
                installed = succeeded(entry) or plain((entry.get("reply") or {}).get("code", 0)) == 50
                if asked > 0 and installed:
                    self.versions = asked
            elif command.get("force"):
                self.versions = None
            oid = (config.get("settings") or {}).get("replicaSetId")
            if oid and "other replicaSetId" not in entry["case"]:
                answer = self.ask(process, {"replSetGetConfig": 1})
                own = ((answer or {}).get("config") or {}).get("settings", {}).get("replicaSetId")
                if own:
                    config["settings"]["replicaSetId"] = own
        if "topologyVersion" in command:
            command["topologyVersion"] = self.ask(process, {"hello": 1})["topologyVersion"]
        return command

    def send(self, entry):
        process = self.hosts.index(entry["member"]) if entry.get("member") in self.hosts else None
        if process is None:
            self.results[entry["key"]] = "the member isn't there"
            return
        self.wait_for_state(process, entry.get("memberStateBefore"))
        command = self.adapt(entry, process)
        config = command.get("replSetInitiate") or command.get("replSetReconfig")
        if isinstance(config, dict) and succeeded(entry):
            hosts = {m["host"] for m in config.get("members", [])}
            self.versions = 1 if "replSetInitiate" in command else self.versions
            self.current = hosts if "replSetInitiate" in command else self.current | hosts
        connection = self.connect(process)
        entry["sent"] = self.now
        if connection is None:
            self.results[entry["key"]] = None if "REFUSED" in str(entry.get("noReply")) else "refused"
            return
        self.pending[connection] = entry
        self.request += 1
        fields = {"connection": connection, "id": self.request, "command": command}
        fields["database"] = entry.get("db", "admin")
        if "slaveOk flag" in entry["case"]:
            fields["secondaryOk"] = True
        self.console.do("request", **fields)
        self.collect()
        # Short ones are over before the next is sent, unless they were concurrent.
        elapsed = plain(entry.get("elapsedMs", 0))
        if elapsed < LONG_MS and "concurrent" not in entry["case"] and "early" not in entry["case"]:
            for _ in range(40):
                if connection not in self.pending:
                    break
                self.run(self.now + 1)

    def judge(self, entry, event):
        expected = entry.get("reply")
        took = plain(event["at"]) - entry["sent"] if event is not None else None
        key = entry["key"]
        if event is None:
            gave_up = re.search("timeout|timed out", str(entry.get("noReply")))
            self.results[key] = None if gave_up else "no reply"
        elif re.search("timeout|timed out", str(entry.get("noReply"))) and took >= plain(entry["elapsedMs"]):
            self.results[key] = None
        elif event.get("closed"):
            self.results[key] = None if "closed" in str(entry.get("noReply")) else "closed"
        elif expected is None:
            self.results[key] = "a reply, where there was none"
        else:
            command = next(iter(entry["request"]))
            for what, _ in self.steps_of("after", entry["case"]):
                process = self.hosts.index(entry["member"])
                self.hold_back([process])
                self.console.do("fate", process=process, fate=what)
            if "concurrent" in entry["case"]:
                self.concurrent.setdefault(self.group_of(entry), []).append((entry, event["reply"]))
                return
            why = difference(command, expected, event["reply"])
            if why is not None and re.search(UNSURE, entry["case"]):
                alike = [e["reply"] for e in self.everything if e["case"] == entry["case"]]
                if any(difference(command, other, event["reply"]) is None for other in alike):
                    why = None
            if why is not None and "errmsg" in event["reply"]:
                why += " " + event["reply"]["errmsg"]
            elapsed = plain(entry.get("elapsedMs", 0))
            if why is None and elapsed >= LONG_MS and not elapsed / FACTOR <= took <= elapsed * FACTOR:
                why = f"after {took:.0f} ms, not {elapsed:.0f}"
            self.results[key] = why

    @staticmethod
    def group_of(entry):
        return re.sub(r"\d+ of (\d+)", r"of \1", entry["case"])

    def judge_concurrent(self, group):
        """One wins and the others get 109 or 103: which, is a matter of microseconds."""
        def outcome(reply):
            return {109: 103}.get(plain(reply.get("code", 0)), plain(reply.get("code", 0)))

        wanted = sorted(outcome(entry["reply"]) for entry, _ in group)
        found = sorted(outcome(reply) for _, reply in group)
        for entry, _ in group:
            self.results[entry["key"]] = None if wanted == found else f"{found}, not {wanted}"

    # --- timelines ---

    def writable_changes(self, entry):
        """(ms, host, writable), as recorded."""
        state = {}
        changes = []
        before = next((h for t, h in reversed(self.primaries) if t < entry["start"]), None)
        for event in self.events_of(entry):
            host = event.get("member")
            view = event.get("view") or event.get("reply")
            if host is None or (event.get("command") == "replSetGetStatus"):
                continue
            if not isinstance(view, dict):
                continue
            writable = bool(view.get("ismaster")) if self.release == "3.6" else view.get("primary") is True
            at = plain(event["tMs"])
            first = host not in state and writable and host != before and at > 20
            if first or host in state and state[host] != writable:
                changes.append((at, host, writable))
            state[host] = writable
        return changes

    def judge_timeline(self, entry, began):
        recorded = [(t, h) for t, h, writable in self.writable_changes(entry) if writable]
        length = max([plain(e["tMs"]) for e in self.events_of(entry)], default=0)
        ends = began + (length * FACTOR + 2000 if recorded else length)
        # Polling saw the first moments late.
        begins = began - 200 if recorded and recorded[0][0] < 200 else began
        gains = [(at, self.hosts[p]) for at, p, writable in self.changes if writable]
        replayed = [(at - began, host) for at, host in gains if begins < at <= ends]
        if not recorded:
            return f"{replayed} became writable" if replayed else None
        if not replayed:
            return f"nobody became writable, recorded {recorded}"
        if len(replayed) < len(recorded):
            return f"{replayed}, not {recorded}"
        for (at, host), (wanted_at, wanted) in zip(replayed, recorded):
            if host != wanted:
                return f"{host} became writable, not {wanted}"
            if abs(at - wanted_at) > 1500 and not wanted_at / FACTOR <= at <= wanted_at * FACTOR:
                return f"{host} after {at:.0f} ms, not {wanted_at:.0f}"
        return None


def read_script(path):
    with open(path, encoding="utf-8") as file:
        return [line.rstrip("\n").split("\t") for line in file if not line.startswith("#")]


def read_list(path):
    listed = {}
    try:
        with open(path, encoding="utf-8") as file:
            for line in file:
                if line.strip() and not line.startswith("#"):
                    scenario, key, reason = line.rstrip("\n").split("\t")
                    listed[scenario, key] = reason
    except FileNotFoundError:
        pass
    return listed


HEADER = """# What the world's replica set answers otherwise than recorded servers: scenario, case, reason.
# Written by tests/unit/world/mongo_replay.py --write, which keeps the reasons.
"""


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("console")
    parser.add_argument("transcript")
    parser.add_argument("script")
    parser.add_argument("listed")
    parser.add_argument("--scenario", default="")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--verbose", action="store_true")
    options = parser.parse_args()
    with lzma.open(options.transcript, "rt", encoding="utf-8") as file:
        lines = [json.loads(line) for line in file]
    release = "4.4" if "4.4" in lines[0]["meta"]["what"] else "3.6"
    scenarios = {}
    for line in lines[1:]:
        scenarios.setdefault(line["scenario"], []).append(line)
    listed = read_list(options.listed)
    found = {}
    console = Console(options.console)
    script = read_script(options.script)

    def scenario_of(name, entries):
        return Scenario(console, release, name, entries, lines[1:], script)

    for name, entries in scenarios.items():
        if name.startswith(options.scenario):
            for key, why in scenario_of(name, entries).replay().items():
                found[name, key] = why
    console.end()
    differs = {key: why for key, why in found.items() if why is not None}
    if options.verbose:
        for (name, key), why in differs.items():
            print(f"{name[:14]}\t{key[:90]}\t{why[:230]}")
    if options.write:
        with open(options.listed, "w", encoding="utf-8") as file:
            file.write(HEADER)
            for key, why in differs.items():
                file.write("\t".join([*key, listed.get(key, "TODO " + why[:80])]) + "\n")
    unlisted = [key for key in differs if key not in listed]
    agreeing = [key for key in listed if key[0].startswith(options.scenario) and key not in differs]
    for key in unlisted:
        print(f"differs and isn't listed: {key[0]}: {key[1]}: {differs[key]}")
    for key in agreeing:
        print(f"listed, but it agrees or wasn't recorded: {key[0]}: {key[1]}")
    print(f"MongoDB {release}: {len(found) - len(differs)} of {len(found)} agree, {len(differs)} are listed")
    return 1 if unlisted or agreeing else 0


if __name__ == "__main__":
    sys.exit(main())
