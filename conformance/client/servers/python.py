"""python.py: a python-socketio server for the client to talk to. Says its port when it listens."""

import asyncio
import os

import socketio
from aiohttp import web

io = socketio.AsyncServer(async_mode="aiohttp", ping_interval=1, ping_timeout=3, namespaces="*")


@io.event
async def echo(sid, *args):
    return args


@io.event
async def bounce(sid, *args):
    await io.emit("bounced", args, to=sid)


@io.event
async def ask(sid, *args):
    async def answered(*answer):
        await io.emit("answered", answer, to=sid)

    await io.emit("question", args, to=sid, callback=answered)


@io.event
async def burst(sid, count):
    for n in range(count):
        await io.emit("n", n, to=sid)


@io.event
async def leave(sid):
    await io.disconnect(sid)


@io.on("connect", namespace="/private")
async def admit(sid, environ, auth):
    if not auth or auth.get("token") != "right":
        raise socketio.exceptions.ConnectionRefusedError("wrong token", {"code": 7})
    environ_of[sid] = environ


@io.on("where", namespace="/private")
async def where(sid):
    environ = environ_of[sid]
    query = dict(pair.split("=") for pair in environ["QUERY_STRING"].split("&"))
    return "/private", query.get("lang"), environ.get("HTTP_X_APP")


environ_of = {}


async def main():
    app = web.Application()
    io.attach(app)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", int(os.environ.get("PORT", "0")))
    await site.start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()


asyncio.run(main())
