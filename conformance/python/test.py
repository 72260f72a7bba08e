"""The Python client against the server at the address given as argument. Prints one line per test."""

import asyncio
import sys
import traceback

import socketio

TRANSPORTS = {"polling": ["polling"], "websocket": ["websocket"], "upgrade": None}
DEADLINE = 10


class Client:
    """A connected client; what comes is kept by event."""

    def __init__(self, client, path):
        self.client, self.path, self.queues = client, path, {}

    @classmethod
    async def connect(cls, url, way, path="/", auth=None):
        client = socketio.AsyncClient(reconnection=False)
        self = cls(client, path)

        @client.on("*", namespace=path)
        async def keep(event, *args):
            await self.queue(event).put(list(args))

        @client.on("question", namespace=path)
        async def answer(*args):
            return {"got": list(args)}

        @client.on("disconnect", namespace=path)
        async def gone(reason=None):
            await self.queue("disconnect").put([reason])

        await client.connect(url, auth=auth, transports=TRANSPORTS[way], namespaces=[path], wait_timeout=5)
        return self

    def queue(self, event):
        return self.queues.setdefault(event, asyncio.Queue())

    async def emit(self, event, *args):
        await self.client.emit(event, args, namespace=self.path)

    async def call(self, event, *args):
        return await self.client.call(event, args, namespace=self.path, timeout=5)

    async def next(self, event):
        return await asyncio.wait_for(self.queue(event).get(), 5)

    async def echo(self, *args):
        await self.emit("echo", *args)
        return await self.next("echo")

    async def close(self):
        await self.client.disconnect()


def equal(got, wanted):
    assert got == wanted, f"got {got!r}, wanted {wanted!r}"


async def values(url, way):
    client = await Client.connect(url, way)
    for args in ([], [1, "two", None], [{"a": [1.5, {"b": True}]}], ["é€😀 \u0000"], [b"\x00\xff"], [{"deep": [b"1", {"er": b"2"}]}, b""]):
        equal(await client.echo(*args), args)
    await client.close()


async def acknowledgements(url, way):
    client = await Client.connect(url, way)
    equal(await client.call("echo-ack", "one"), "one")
    equal(await client.call("echo-ack", b"binary"), b"binary")
    equal(await client.call("size", "text"), 4)
    await client.emit("ask", "why", b"because")
    equal(await client.next("answer"), [{"got": ["why", b"because"]}])
    await client.close()


async def rooms(url, way):
    clients = [await Client.connect(url, way) for _ in range(3)]
    for client in clients[:2]:
        await client.call("join", ["red"])
    await clients[2].emit("aim", {"to": ["red"]}, "news")
    await clients[2].emit("fire", 1, b"x")
    for client in clients[:2]:
        equal(await client.next("news"), [1, b"x"])
    await clients[2].call("rooms")
    assert clients[2].queue("news").empty(), "a stranger got the news"
    for client in clients:
        await client.close()


async def namespaces(url, way):
    client = await Client.connect(url, way, "/auth", {"token": "secret"})
    who = await client.call("who")
    equal([who["namespace"], who["auth"]], ["/auth", {"token": "secret"}])
    await client.close()


async def refusal(url, way):
    client = socketio.AsyncClient(reconnection=False)
    refused = asyncio.get_running_loop().create_future()

    @client.on("connect_error", namespace="/auth")
    async def keep(data):
        refused.set_result(data)

    try:
        await client.connect(url, auth={"token": "no"}, transports=TRANSPORTS[way], namespaces=["/auth"], wait_timeout=5)
        raise AssertionError("it was let in")
    except socketio.exceptions.ConnectionError:
        pass
    equal(await asyncio.wait_for(refused, 5), {"message": "not authorized", "data": {"reason": "bad token", "got": "no"}})
    await client.disconnect()


async def disconnects(url, way):
    client = await Client.connect(url, way)
    await client.emit("disconnect-me", False)
    equal(await client.next("disconnect"), ["server disconnect"])
    await client.close()


async def order(url, way):
    client = await Client.connect(url, way)
    # This client refuses a polling body of more than 16 packets, whatever the server.
    at_once = 10 if way == "polling" else 100
    for start in range(0, 300, at_once):
        numbers = list(range(start, start + at_once))
        for n in numbers:
            await client.emit("echo", n)
        equal([(await client.next("echo"))[0] for _ in numbers], numbers)
    await client.close()


async def main(url):
    failures = 0
    for test in (values, acknowledgements, rooms, namespaces, refusal, disconnects, order):
        for way in TRANSPORTS:
            name = f"{test.__name__} [{way}]"
            try:
                await asyncio.wait_for(test(url, way), DEADLINE)
                print(f"ok   {name}", flush=True)
            except Exception:
                failures += 1
                print(f"FAIL {name}\n{traceback.format_exc()}", flush=True)
    return failures


if __name__ == "__main__":
    sys.exit(1 if asyncio.run(main(sys.argv[1])) else 0)
