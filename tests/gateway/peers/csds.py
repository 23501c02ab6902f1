"""Asks for client status over gRPC, by both methods: csds.py PORT; a line for each resource."""
import sys

import grpc
from wire import fields

SERVICE = "/envoy.service.status.v3.ClientStatusDiscoveryService/"
STATUS = ["UNKNOWN", "REQUESTED", "DOES_NOT_EXIST", "ACKED", "NACKED"]


def lines(answer):
    for config in fields(answer)[1]:
        for one in fields(config).get(3, []):
            found = fields(one)
            text = lambda tag: found.get(tag, [b""])[0].decode()
            status = STATUS[found.get(7, [0])[0]]
            error = fields(found[8][0]).get(3, [b""])[0].decode() if 8 in found else ""
            kind = text(1).rpartition(".")[2]
            yield f"{kind} {text(2)} {text(3)} {status} {'content' if 4 in found else ''} {error}".strip()


channel = grpc.insecure_channel(f"127.0.0.1:{sys.argv[1]}")
fetched = list(lines(channel.unary_unary(SERVICE + "FetchClientStatus")(b"", timeout=10)))
streamed = channel.stream_stream(SERVICE + "StreamClientStatus")(iter([b"", b""]), timeout=10)
answers = [list(lines(answer)) for answer in streamed]
assert answers == [fetched, fetched], answers
bare = channel.unary_unary(SERVICE + "FetchClientStatus")(b"\x18\x01", timeout=10)
assert not any("content" in line for line in lines(bare)), "contents were not asked for"
print("\n".join(fetched))
