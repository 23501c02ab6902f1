"""A WebSocket server that repeats, and a client that checks."""
import asyncio
import sys

from websockets.asyncio.client import connect
from websockets.asyncio.server import serve


async def repeat(socket):
    async for message in socket:
        await socket.send(message)


async def server(port):
    async with serve(repeat, "127.0.0.1", port, max_size=None) as running:
        await running.serve_forever()


async def client(port):
    async with connect(f"ws://127.0.0.1:{port}/talk", max_size=None) as socket:
        texts = 0
        for n in range(1000):
            await socket.send(f"message {n}")
            texts += await socket.recv() == f"message {n}"
        large = bytes(range(256)) * 4096
        await socket.send(large)
        same = len(large) if await socket.recv() == large else 0
        await (await socket.ping())
    print(f"text {texts} binary {same} closed {socket.close_code}")


asyncio.run((server if sys.argv[1] == "serve" else client)(int(sys.argv[2])))
