"""python-socketio on uvicorn with the events of the bench, written as its documentation writes them."""

import argparse

import socketio
import uvicorn

options = argparse.ArgumentParser()
options.add_argument("--port", type=int, required=True)
options.add_argument("--workers", type=int, default=1)
options.add_argument("--deflate", action="store_true")
arguments = options.parse_args()

sio = socketio.AsyncServer(async_mode="asgi")


@sio.event
async def echo(sid, data):
    await sio.emit("echo", data, to=sid)


@sio.event
async def binary(sid, data):
    await sio.emit("binary", data, to=sid)


@sio.event
async def ack(sid, data):
    return data


@sio.event
async def broadcast(sid, data):
    await sio.emit("broadcast", data)


@sio.event
async def join(sid, rooms):
    for room in rooms:
        await sio.enter_room(sid, room)


@sio.event
async def room(sid, room, data):
    await sio.emit("room", data, room=room)


uvicorn.run(
    socketio.ASGIApp(sio),
    host="127.0.0.1",
    port=arguments.port,
    log_level="error",
    backlog=4096,
    ws_per_message_deflate=arguments.deflate,
)
