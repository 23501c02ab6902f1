"""Protobuf by hand: fields of messages, and the few messages of discovery that stories need."""
import struct

TYPES = {
    "cluster": "envoy.config.cluster.v3.Cluster",
    "endpoint": "envoy.config.endpoint.v3.ClusterLoadAssignment",
    "route": "envoy.config.route.v3.RouteConfiguration",
    "secret": "envoy.extensions.transport_sockets.tls.v3.Secret",
    "filter": "envoy.config.core.v3.TypedExtensionConfig",
    "runtime": "envoy.service.runtime.v3.Runtime",
}
TYPES = {short: "type.googleapis.com/" + name for short, name in TYPES.items()}
SHORT = {name: short for short, name in TYPES.items()}


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
    """By number, what is there of each, in order."""
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


def any_of(kind, value):
    return field(1, TYPES.get(kind, kind)) + field(2, value)


def cluster(name, timeout=2):
    """By endpoints of ADS."""
    ads = field(3, b"") + field(6, 2)
    return field(1, name) + field(2, 3) + field(3, field(1, ads)) + field(4, field(1, timeout))


def assignment(name, port):
    socket = field(2, "127.0.0.1") + field(3, int(port))
    endpoint = field(1, field(1, field(1, socket)))
    return field(1, name) + field(2, field(2, endpoint))


def route(prefix, to):
    return field(1, field(1, prefix)) + field(2, field(1, to))


def table(version, routes):
    """One that says its version in every answer."""
    header = field(1, field(1, "x-version") + field(2, str(version)))
    host = field(1, "v") + field(2, "*") + b"".join(field(3, one) for one in routes)
    return field(1, "table") + field(2, host) + field(4, header)


def secret(name, folder, stem):
    """A certificate in files."""
    file = lambda end: field(1, f"{folder}/{stem}.{end}")
    return field(1, name) + field(2, field(1, file("pem")) + field(2, file("key")))


def adds_header(name, key, value):
    """The filter of header mutation, which adds a header to answers."""
    option = field(1, field(1, key) + field(2, value)) + field(3, 2)
    mutations = field(1, field(2, field(2, option)))
    kind = "type.googleapis.com/envoy.extensions.filters.http.header_mutation.v3.HeaderMutation"
    return field(1, name) + field(2, any_of(kind, mutations))


def runtime(name, keys):
    """A layer of the runtime, of numbers."""
    double = lambda value: number(2 << 3 | 1) + struct.pack("<d", value)
    entries = (field(1, key) + field(2, double(value)) for key, value in keys.items())
    return field(1, name) + field(2, b"".join(field(1, entry) for entry in entries))
