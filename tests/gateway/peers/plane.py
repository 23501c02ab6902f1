"""A control plane over ADS, by hand: clusters, their endpoints and one route table that changes.

plane.py PORT CHANGES SECONDS FIRST SECOND: begins to change when it reads a line, says when done.
"""
import os
import queue
import sys
import threading
import time
from concurrent import futures

import grpc

port, changes, seconds, *servers = (float(word) for word in sys.argv[1:])
TYPE = "type.googleapis.com/envoy.config."
CLUSTER, ENDPOINT, ROUTE = (
    TYPE + "cluster.v3.Cluster",
    TYPE + "endpoint.v3.ClusterLoadAssignment",
    TYPE + "route.v3.RouteConfiguration",
)


def number(value):
    out = b""
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def field(tag, value):
    if isinstance(value, int):
        return number(tag << 3) + number(value)
    value = value.encode() if isinstance(value, str) else value
    return number(tag << 3 | 2) + number(len(value)) + value


def fields(data):
    at = 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    found = {}
    while at < len(data):
        key = varint()
        if key & 7 == 0:
            value = varint()
        else:
            size = varint()
            value = data[at : at + size]
            at += size
        found.setdefault(key >> 3, []).append(value)
    return found


def cluster(name):
    ads = field(3, b"") + field(6, 2)
    return field(1, name) + field(2, 3) + field(3, field(1, ads)) + field(4, field(1, 2))


def assignment(name, port):
    socket = field(2, "127.0.0.1") + field(3, int(port))
    endpoint = field(1, field(1, field(1, socket)))
    return field(1, name) + field(2, field(2, endpoint))


def route(prefix, to):
    return field(1, field(1, prefix)) + field(2, field(1, to))


def table(version, routes):
    header = field(1, field(1, "x-version") + field(2, str(version)))
    host = field(1, "v") + field(2, "*") + b"".join(field(3, one) for one in routes)
    return field(1, "table") + field(2, host) + field(4, header)


class World:
    """What there is after so many changes."""

    def __init__(self):
        self.turn, self.lock = 0, threading.Condition()

    def resources(self, kind):
        turn = self.turn
        names = ["a", "b"] + [f"extra-{turn // 10}"]
        if kind == CLUSTER:
            return turn // 10, [cluster(name) for name in names]
        if kind == ENDPOINT:
            first = servers[turn // 5 % 2]
            return turn // 5, [assignment("a", first), assignment("b", servers[1])] + [
                assignment(name, servers[0]) for name in names[2:]
            ]
        to = "ab"[turn % 2]
        more = [route(f"/unused-{turn % 7}-{n}", "b") for n in range(turn % 5)]
        return turn, [table(turn, more + [route("/", to)])]


world = World()
heard = {"ack": 0, "nack": 0}


def stream(requests, context):
    events = queue.Queue()

    def listen():
        for request in requests:
            events.put(request)
        events.put(None)

    def watch():
        seen = -1
        while context.is_active():
            with world.lock:
                world.lock.wait_for(lambda: world.turn != seen, 1)
                seen = world.turn
            events.put("changed")

    threading.Thread(target=listen, daemon=True).start()
    threading.Thread(target=watch, daemon=True).start()
    asked, sent, nonce = {}, {}, 0
    while True:
        event = events.get()
        if event is None:
            return
        if event != "changed":
            found = fields(event)
            kind = found[4][0].decode()
            if 6 in found:
                heard["nack"] += 1
                print("nack", fields(found[6][0]).get(2), flush=True)
            elif 5 in found:
                heard["ack"] += 1
            names = sorted(found.get(3, []))
            if asked.get(kind) != names:
                asked[kind] = names
                sent.pop(kind, None)
        for kind in (CLUSTER, ENDPOINT, ROUTE):
            if kind not in asked:
                continue
            version, resources = world.resources(kind)
            if sent.get(kind) == version:
                continue
            sent[kind] = version
            nonce += 1
            whole = b"".join(field(2, field(1, kind) + field(2, one)) for one in resources)
            yield field(1, str(version)) + whole + field(4, kind) + field(5, str(nonce))


class Handler(grpc.GenericRpcHandler):
    def service(self, call):
        if call.method.endswith("/StreamAggregatedResources"):
            return grpc.stream_stream_rpc_method_handler(stream)
        return None


server = grpc.server(futures.ThreadPoolExecutor(max_workers=8))
server.add_generic_rpc_handlers((Handler(),))
server.add_insecure_port(f"127.0.0.1:{int(port)}")
server.start()
sys.stdin.readline()
begun = time.monotonic()
for turn in range(1, int(changes) + 1):
    time.sleep(max(0, begun + seconds * turn / changes - time.monotonic()))
    with world.lock:
        world.turn = turn
        world.lock.notify_all()
sys.stdin.readline()
print(f"acks {heard['ack']} nacks {heard['nack']}", flush=True)
os._exit(0)
