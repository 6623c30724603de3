"""What must hold whatever was done to the group (DESIGN, "Invariants"): asserted after each test,
from the world's ledger and from what every node applied.

Each node logs every event of its committed state with the event's index, so the logs of all nodes
together are the history, and they outlive the nodes."""

import time

NOW_MS = 50  # between an ATTEMPT's line in the leader's log and the world's clock


def parse_fence(fence):
    """(service, incarnation, epoch, step) of "group/service/incarnation.epoch/step", burnt or not."""
    text = fence[5:-1] if fence.startswith("void(") else fence
    _, service, version, step = text.split("/")
    incarnation, epoch = version.split(".")
    return service, int(incarnation), int(epoch), int(step)


def is_burnt(fence):
    return fence.startswith("void(")


def fence_of(entry):
    """The fence of an effect: the one that it wrote, or, where it deleted one, that of its eid."""
    if entry["fence_after"]:
        return entry["fence_after"]
    return f"{entry['fence_before'].split('/')[0].removeprefix('void(')}/{entry['comment']}"


def check_ledger(world):
    """At most one effect an eid; fences form one strictly rising chain, except where a person wrote
    one (11 to 13)."""
    seen = {}
    last = None
    for entry in world.ledger():
        if entry["kind"] == "foreign":
            last = None
            continue
        if entry["kind"] == "forgotten":
            # What was forgotten may be written again, so all that stood before it counts anew.
            last = None
            seen.pop(entry["fence_before"], None)
            continue
        if entry["kind"] != "change" or not entry["effective"]:
            continue
        assert entry["fence_after"] or entry["fence_before"], f"an effect without a fence: {entry}"
        fence = fence_of(entry)
        assert fence not in seen, f"applied twice: {fence}: {entry}"
        seen[fence] = entry
        order = parse_fence(fence)[1:]
        if last is not None:
            assert order > last or (is_burnt(fence) and order == last), (
                f"not rising: {entry['fence_before']} -> {fence}"
            )
        last = order


def events_of(node):
    """index -> its events, each with the time when the node first logged it."""
    by_index = {}
    for line in node.events():
        if line.get("event") != "state_event":
            continue
        event = {k: v for k, v in line.items() if k not in ("time", "level", "node", "event")}
        kept = by_index.setdefault(line["index"], [])
        if event not in [e for e, _ in kept]:  # a restart logs them again
            kept.append((event, line["time"]))
    return by_index


def committed_events(nodes):
    """All events that any of the nodes applied, oldest first, each with when the first node logged
    it. State machine safety on the way: what two nodes say of one index must be the same."""
    merged = {}
    for node in nodes:
        for index, own in events_of(node).items():
            known = merged.setdefault(index, [])
            for i, (event, at) in enumerate(own):
                if i == len(known):  # the others were killed before they had logged it
                    known.append((event, at))
                    continue
                assert known[i][0] == event, f"entry {index}: {known[i][0]}, {node.name}: {event}"
                known[i] = (event, min(at, known[i][1]))
    return [e for index in sorted(merged) for e in merged[index]]


def check_epochs(events):
    """Epochs only rise, and none is used twice (3)."""
    last = {}
    for event, _ in events:
        if event["kind"] == "moving":
            before = last.get(event["service"], 0)
            assert event["epoch"] > before, f"epoch {event['epoch']} after {before}"
            last[event["service"]] = event["epoch"]


def check_effects(world, events, clocks_are_true):
    """Every effect has an earlier committed ATTEMPT of its epoch; every burn a CLOSING (11)."""
    for entry in world.ledger():
        if entry["kind"] != "change" or not entry["effective"]:
            continue
        fence = fence_of(entry)
        service, _, epoch, _ = parse_fence(fence)
        kind = "closing" if is_burnt(fence) else "attempt"
        found = [
            at
            for event, at in events
            if event["kind"] == kind
            and event["service"] == service
            # A debt is burnt by a later epoch.
            and (event["epoch"] >= epoch if is_burnt(fence) else event["epoch"] == epoch)
        ]
        assert found, f"{fence} landed without a committed {kind}"
        if clocks_are_true:
            landed = time.strftime(
                "%Y-%m-%dT%H:%M:%S", time.gmtime((entry["t_ms"] + NOW_MS) // 1000)
            ) + ".%03dZ" % ((entry["t_ms"] + NOW_MS) % 1000)
            assert min(found) <= landed, f"{fence} landed at {landed}, {kind} at {min(found)}"


def check_agreement(nodes, wait_until):
    """One active region on all nodes, and no two digests differ (1, 19)."""
    running = [n for n in nodes if n.running() and not n.stopped]
    for node in running:
        status = node.status()
        assert status is None or status["automation"] != "halted", f"{node.name}: digests differ"
    if len(running) * 2 <= len(nodes) or not any(n.is_leader() for n in running):
        return

    def same():
        seen = []
        for node in running:
            if node.cut_off:
                continue
            status = node.status()
            if status is None:
                return False
            seen.append([(s["name"], s["active"], s["epoch"]) for s in status["services"]])
        return all(s == seen[0] for s in seen)

    wait_until(same, 15, "every node shows the same active regions and epochs")


def check_group(group, world, wait_until):
    nodes = list(group.nodes.values())
    check_agreement(nodes, wait_until)
    events = committed_events(nodes)
    assert not [e for e, _ in events if e["kind"] == "halt"], "digests differed"
    check_epochs(events)
    if world is not None:
        check_ledger(world)
        check_effects(world, events, all(n.clock_is_true for n in nodes))
