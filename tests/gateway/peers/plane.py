"""A control plane that never rests: clusters, their endpoints and one route table that changes.

plane.py PORT CHANGES SECONDS FIRST SECOND: begins to change when it reads a line, says when done.
"""
import os
import sys
import time

from discovery import Plane
from wire import assignment, cluster, route, table

port, changes, seconds, *servers = (float(word) for word in sys.argv[1:])
heard = {"ack": 0, "nack": 0}


def hear(kind, error):
    heard["nack" if error else "ack"] += 1
    if error:
        print("nack", kind, error, flush=True)


plane = Plane(hear)


def put(turn):
    """What there is after so many changes."""
    names = ["a", "b", f"extra-{turn // 10}"]
    first = servers[turn // 5 % 2]
    to = {"a": first, "b": servers[1], names[2]: servers[0]}
    plane.put("cluster", {name: cluster(name) for name in names})
    plane.put("endpoint", {name: assignment(name, port) for name, port in to.items()})
    more = [route(f"/unused-{turn % 7}-{n}", "b") for n in range(turn % 5)]
    plane.put("route", {"table": table(turn, more + [route("/", "ab"[turn % 2])])})


put(0)
server = plane.serve(int(port))
sys.stdin.readline()
begun = time.monotonic()
for turn in range(1, int(changes) + 1):
    time.sleep(max(0, begun + seconds * turn / changes - time.monotonic()))
    put(turn)
sys.stdin.readline()
print(f"acks {heard['ack']} nacks {heard['nack']}", flush=True)
os._exit(0)
