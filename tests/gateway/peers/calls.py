"""Four kinds of gRPC calls, with messages of plain bytes: a server, and a client that checks."""
import sys
from concurrent import futures

import grpc

KINDS = {
    "/calls/Unary": grpc.unary_unary_rpc_method_handler,
    "/calls/ServerStream": grpc.unary_stream_rpc_method_handler,
    "/calls/ClientStream": grpc.stream_unary_rpc_method_handler,
    "/calls/Both": grpc.stream_stream_rpc_method_handler,
}


def unary(request, context):
    if request == b"fail":
        context.set_trailing_metadata((("x-why", "asked"),))
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, "as asked")
    if request == b"slow":
        import time

        time.sleep(5)
    return request


def stream(request, context):
    for n in range(int(request)):
        yield b"%d" % n


def gather(requests, context):
    return b"%d" % sum(1 for _ in requests)


def both(requests, context):
    yield from requests


BEHAVIOURS = [unary, stream, gather, both]


class Handler(grpc.GenericRpcHandler):
    def service(self, call):
        for (method, kind), behaviour in zip(KINDS.items(), BEHAVIOURS):
            if call.method == method:
                return kind(behaviour)
        return None


def serve(port):
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=8))
    server.add_generic_rpc_handlers((Handler(),))
    server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    server.wait_for_termination()


def call(target, count):
    said = []
    with grpc.insecure_channel(target if "://" in target else f"127.0.0.1:{target}") as channel:
        said.append(f"unary {len(channel.unary_unary('/calls/Unary')(b'x', timeout=30))}")
        answers = channel.unary_stream("/calls/ServerStream")(b"%d" % count, timeout=60)
        said.append(f"server-stream {sum(1 for n, m in enumerate(answers) if m == b'%d' % n)}")
        messages = (b"%d" % n for n in range(count))
        total = channel.stream_unary("/calls/ClientStream")(messages, timeout=60)
        said.append(f"client-stream {total.decode()}")
        messages = (b"%d" % n for n in range(count))
        answers = channel.stream_stream("/calls/Both")(messages, timeout=60)
        said.append(f"both {sum(1 for n, m in enumerate(answers) if m == b'%d' % n)}")
        endless = channel.unary_stream("/calls/ServerStream")(b"100000000")
        next(endless)
        endless.cancel()
        said.append("cancelled" if endless.code() == grpc.StatusCode.CANCELLED else "not cancelled")
        try:
            channel.unary_unary("/calls/Unary")(b"slow", timeout=0.3)
        except grpc.RpcError as error:
            is_late = error.code() == grpc.StatusCode.DEADLINE_EXCEEDED
            said.append("deadline" if is_late else str(error))
        try:
            channel.unary_unary("/calls/Unary")(b"fail", timeout=30)
        except grpc.RpcError as error:
            is_right = error.code() == grpc.StatusCode.FAILED_PRECONDITION
            is_right = is_right and error.details() == "as asked"
            is_right = is_right and ("x-why", "asked") in error.trailing_metadata()
            said.append("error" if is_right else str(error))
    print(*said)


if sys.argv[1] == "serve":
    serve(sys.argv[2])
else:
    call(sys.argv[2], int(sys.argv[3]))
