"""Writes only while Noctua's lease is held: lease_holder.py URL, as in
http://127.0.0.1:7602/services/nocturnal/regions/us-east-1/lease"""
import json
import sys
import time
import urllib.request


def boottime():
    return time.clock_gettime(time.CLOCK_BOOTTIME)  # goes on while the machine sleeps


until = 0.0  # we may write before this, by our own clock
while True:
    asked = boottime()  # before the request leaves: never later than the node's own t0
    try:
        with urllib.request.urlopen(sys.argv[1], timeout=1) as reply:
            until = asked + json.load(reply)["expires_in_ms"] / 1000
    except (OSError, ValueError, KeyError):
        pass  # 503, or nobody answers: what we had still holds, until it ends
    # Check it right before each write, and let no write take longer than what is left.
    print("write" if boottime() < until else "fenced", flush=True)
    time.sleep(0.5)
