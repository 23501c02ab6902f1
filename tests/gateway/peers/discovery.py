"""A server of discovery over gRPC: all of it or changes only, aggregated or by type."""
import queue
import threading
from concurrent import futures

import grpc
from wire import SHORT, TYPES, any_of, field, fields

WHOLE = "type.googleapis.com/envoy.service.discovery.v3.Resource"


class Plane:
    """What there is, by type and name, and everybody who listens."""

    def __init__(self, heard):
        self.lock = threading.Condition()
        self.turn = 0
        self.version = {}
        self.there = {}
        # Called with the type, and what is wrong or None.
        self.heard = heard

    def put(self, kind, resources, ttl=None):
        """Replaces all of a type: bytes by name."""
        with self.lock:
            if self.there.get(kind) == (resources, ttl):
                return
            self.there[kind] = (dict(resources), ttl)
            self.version[kind] = self.version.get(kind, 0) + 1
            self.turn += 1
            self.lock.notify_all()

    def get(self, kind):
        with self.lock:
            resources, ttl = self.there.get(kind, ({}, None))
            return self.version.get(kind, 0), resources, ttl

    def serve(self, port):
        server = grpc.server(futures.ThreadPoolExecutor(max_workers=16))
        server.add_generic_rpc_handlers((Handler(self),))
        server.add_insecure_port(f"127.0.0.1:{port}")
        server.start()
        return server

    def events(self, requests, context):
        """Requests as they come, and None whenever something has changed."""
        events = queue.Queue()

        def listen():
            for request in requests:
                events.put(fields(request))
            events.put("end")

        def watch():
            seen = -1
            while context.is_active():
                with self.lock:
                    self.lock.wait_for(lambda: self.turn != seen, 1)
                    if seen == self.turn:
                        continue
                    seen = self.turn
                events.put(None)

        threading.Thread(target=listen, daemon=True).start()
        threading.Thread(target=watch, daemon=True).start()
        while (event := events.get()) != "end":
            yield event

    def answered(self, kind, nonce, error):
        if error:
            self.heard(kind, fields(error[0]).get(2, [b""])[0].decode())
        elif nonce:
            self.heard(kind, None)

    def whole(self, requests, context):
        """The state of the world."""
        asked, sent, nonce = {}, {}, 0
        for found in self.events(requests, context):
            if found:
                kind = SHORT.get(found[4][0].decode())
                self.answered(kind, found.get(5), found.get(6))
                names = sorted(name.decode() for name in found.get(3, []))
                if asked.get(kind) != names:
                    asked[kind] = names
                    sent.pop(kind, None)
            for kind in [kind for kind in TYPES if kind in asked]:
                version, resources, ttl = self.get(kind)
                if version == 0 or sent.get(kind) == version:
                    continue
                sent[kind] = version
                nonce += 1
                ours = [
                    wrapped(kind, name, value, ttl)
                    for name, value in resources.items()
                    if not asked[kind] or name in asked[kind]
                ]
                body = b"".join(field(2, one) for one in ours)
                yield field(1, str(version)) + body + field(4, TYPES[kind]) + field(5, str(nonce))

    def changes(self, requests, context):
        """Changes only."""
        asked, sent, nonce, empty = {}, {}, 0, set()
        for found in self.events(requests, context):
            if found:
                kind = SHORT.get(found[2][0].decode())
                self.answered(kind, found.get(6), found.get(7))
                is_first = kind not in asked
                names = asked.setdefault(kind, set())
                for entry in found.get(5, []):
                    pair = fields(entry)
                    sent[kind, pair[1][0].decode()] = pair[2][0].decode()
                for name in found.get(4, []):
                    names.discard(name.decode())
                    sent.pop((kind, name.decode()), None)
                new = {name.decode() for name in found.get(3, [])}
                for name in new & names:
                    sent.pop((kind, name), None)
                names |= new
                # Who asks for everything is told that there is nothing.
                if is_first and "*" in names:
                    empty.add(kind)
            for kind in [kind for kind in TYPES if kind in asked]:
                version, resources, ttl = self.get(kind)
                wanted = lambda name: "*" in asked[kind] or name in asked[kind]
                body = b""
                for name, value in resources.items():
                    own = str(hash((value, ttl)))
                    if wanted(name) and sent.get((kind, name)) != own:
                        sent[kind, name] = own
                        body += field(2, delta(kind, name, value, own, ttl))
                gone = [name for of, name in sent if of == kind and name not in resources]
                for name in gone:
                    del sent[kind, name]
                    body += field(6, name)
                if body or kind in empty:
                    empty.discard(kind)
                    nonce += 1
                    yield field(1, str(version)) + body + field(4, TYPES[kind]) + field(5, str(nonce))


def wrapped(kind, name, value, ttl):
    if ttl is None:
        return any_of(kind, value)
    whole = field(2, any_of(kind, value)) + field(3, name) + field(6, field(1, ttl))
    return field(1, WHOLE) + field(2, whole)


def delta(kind, name, value, version, ttl):
    whole = field(1, version) + field(2, any_of(kind, value)) + field(3, name)
    return whole if ttl is None else whole + field(6, field(1, ttl))


class Handler(grpc.GenericRpcHandler):
    def __init__(self, plane):
        self.plane = plane

    def service(self, call):
        service, method = call.method.strip("/").split("/")
        if "DiscoveryService" not in service:
            return None
        way = self.plane.changes if method.startswith("Delta") else self.plane.whole
        return grpc.stream_stream_rpc_method_handler(way)
