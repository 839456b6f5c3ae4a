"""How a running gateway is asked: JSON over a local socket, metrics and health over HTTP."""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from gateway.config import MetricsSection
from gateway.deadletters import BusyError
from gateway.errors import CameraAwayError, ConfigError, GatewayError
from gateway.features import QueryError
from gateway.metrics import GatewayCollector
from gateway.model import Result
from gateway.snapshots import SnapshotError
from gateway.status import (
    Running,
    cameras,
    devices,
    is_ready,
    plugins,
    status,
    unclaimed,
)
from gateway.watching import Watching

log = logging.getLogger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_QUERY_BYTES = 100_000
_MOST_ROWS = 1000
_LONGEST_S = 600.0
_SNAPSHOT_S = 15.0


class PortTakenError(GatewayError):
    """The metrics port is taken; it may be free at the next try."""

    code = "port_taken"


@asynccontextmanager
async def serve(running: Running, registry: CollectorRegistry) -> AsyncIterator[None]:
    """Answer on the local socket, and on the metrics port unless it is -1.

    Raises:
        ConfigError: The socket cannot be made.
        PortTakenError: The metrics port is taken.
    """
    registry.register(GatewayCollector(running))
    async with AsyncExitStack() as stack:
        local = await _runner(stack, _local_app(running))
        await _listen_locally(stack, local, running.settings.socket_path)
        if running.settings.metrics.port >= 0:
            public = await _runner(stack, _public_app(running, registry))
            running.addresses["metrics"] = await _listen(public, running.settings.metrics)
        yield


async def _listen_locally(stack: AsyncExitStack, runner: web.AppRunner, path: Path) -> None:
    """Listen on a socket that the gateway's user and group may open."""
    try:
        path.unlink(missing_ok=True)  # noqa: ASYNC240 - an inode
        await web.UnixSite(runner, str(path)).start()
        path.chmod(0o660)  # noqa: ASYNC240 - an inode
    except OSError as exc:  # a path of more than 107 bytes is one
        raise ConfigError([f"gateway.state_dir: no socket can be made at {path}: {exc}"]) from exc
    stack.callback(path.unlink, missing_ok=True)


async def _listen(runner: web.AppRunner, listen: MetricsSection) -> str:
    """Listen for whoever reads metrics; return the url, for the port may be any free one."""
    try:
        await web.TCPSite(runner, listen.host, listen.port).start()
    except OSError as exc:
        raise PortTakenError(
            f"cannot listen on {listen.host}:{listen.port} for metrics: "
            f"{os.strerror(exc.errno or 0)}; set another [metrics] port, 0 for a free one or "
            "-1 for none"
        ) from exc
    host, port = runner.addresses[0][:2]
    return f"http://[{host}]:{port}/metrics" if ":" in host else f"http://{host}:{port}/metrics"


async def _runner(stack: AsyncExitStack, app: web.Application) -> web.AppRunner:
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    return runner


def _public_app(running: Running, registry: CollectorRegistry) -> web.Application:
    async def metrics(_: web.Request) -> web.Response:
        body = generate_latest(registry)
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def healthz(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def readyz(_: web.Request) -> web.Response:
        ready = is_ready(running)
        reason = running.source.reason or "the leaf does not answer"
        return web.Response(
            text="ready\n" if ready else f"{reason}\n", status=200 if ready else 503
        )

    app = web.Application()
    app.router.add_get("/metrics", metrics)
    app.router.add_get("/healthz", healthz)
    app.router.add_get("/readyz", readyz)
    return app


def _local_app(running: Running) -> web.Application:
    app = web.Application(client_max_size=_QUERY_BYTES)
    documents: dict[str, Callable[[], Any]] = {
        "/status": lambda: status(running),
        "/devices": lambda: devices(running),
        "/unclaimed": lambda: unclaimed(running),
        "/plugins": lambda: plugins(running),
        "/cameras": lambda: cameras(running),
    }
    for path, document in documents.items():
        app.router.add_get(path, _answer(document))
    app.router.add_get("/deadletters", _table(running, "dead_letter"))
    app.router.add_get("/outcomes", _table(running, "outcome"))
    app.router.add_post("/sql", _sql(running))
    app.router.add_post("/cameras/{name}/snapshot", _snapshot(running))
    app.router.add_post("/plugins/{name}/forget", _forget(running))
    app.router.add_post("/devices/release", _release(running))
    app.router.add_post("/unclaimed/listen", _listen_for_unclaimed(running))
    return app


def _answer(document: Callable[[], Any]) -> Handler:
    async def handler(_: web.Request) -> web.Response:
        return _json(document())

    return handler


def _table(running: Running, table: str) -> Handler:
    async def handler(request: web.Request) -> web.Response:
        try:
            limit = min(int(request.query.get("limit", "50")), _MOST_ROWS)
        except ValueError:
            return _json({"error": "limit must be a number"}, 400)
        names, rows = await running.store.query(
            f"SELECT * FROM {table} ORDER BY time DESC, rowid DESC LIMIT {limit}"  # noqa: S608 - a number
        )
        return _json([dict(zip(names, row, strict=True)) for row in rows])

    return handler


def _sql(running: Running) -> Handler:
    async def handler(request: web.Request) -> web.Response:
        try:
            columns, rows = await running.store.query(await request.text())
        except QueryError as exc:
            return _json({"error": str(exc)}, 400)
        return _json({"columns": columns, "rows": rows})

    return handler


def _listen_for_unclaimed(running: Running) -> Handler:
    """Take in every topic for the seconds in the body; tell what nobody could read, whole."""

    async def handler(request: web.Request) -> web.Response:
        try:
            seconds = float(await request.text())
        except ValueError:
            return _json({"error": "the body must be a number of seconds"}, 400)
        source, filters = running.source, running.source.filters
        source.subscribe([*(f for f in filters if f.startswith("$")), "#"])
        try:
            heard = await running.pipeline.unreadable.listen(min(max(seconds, 0.1), _LONGEST_S))
        except BusyError as exc:
            return _json({"error": str(exc)}, 409)
        finally:
            source.subscribe(filters)
        return _json(
            [
                {
                    "topic": each.message.topic,
                    "payload": each.message.payload.hex(),
                    "received_ns": each.message.received_ns,
                    "retained": each.message.retained,
                    "profile": each.profile,
                    "reason": each.reason,
                }
                for each in heard
            ]
        )

    return handler


def _snapshot(running: Running) -> Handler:
    """Keep a picture of a camera's next frame, with what the plugin in the query sees in it."""

    async def handler(request: web.Request) -> web.Response:
        name, plugin_name = request.match_info["name"], request.query.get("plugin", "")
        plugin = running.pipeline.plugins.get(plugin_name)
        if plugin_name and not isinstance(plugin, Watching):
            looking = [n for n, p in running.pipeline.plugins.items() if isinstance(p, Watching)]
            there = ", ".join(sorted(looking)) or "none"
            reason = f"no plugin {plugin_name!r} looks at cameras here; these do: {there}"
            return _json({"error": reason}, 404)
        try:
            path, result = await _pictured(running, name, plugin)
        except (SnapshotError, CameraAwayError) as exc:
            return _json({"error": str(exc)}, 409)
        seen = [each._asdict() for each in result.seen] if result else []
        numbers = result.numbers if result else {}
        label = result.label if result else ""
        return _json({"path": path, "label": label, "numbers": numbers, "seen": seen})

    return handler


async def _pictured(running: Running, name: str, plugin: object) -> tuple[str, Result | None]:
    """Return the path of a new snapshot and what the plugin found.

    Raises:
        CameraAwayError: There is no such camera, or no frame in time.
        SnapshotError: The plugin looked at none, or it cannot be kept.
    """
    sights = running.sights
    state = next((each for each in sights.cameras.states() if each.name == name), None)
    if state and state.state == "backing_off":
        raise CameraAwayError(f"camera {name} is away: {state.reason}")
    if isinstance(plugin, Watching):
        frame, result = await plugin.look(name, _SNAPSHOT_S)
        return await asyncio.to_thread(plugin.picture, frame, result), result
    frame = await sights.cameras.look(name, _SNAPSHOT_S)
    return str(await asyncio.to_thread(sights.album.save, name, frame.image)), None


def _forget(running: Running) -> Handler:
    """Let a plugin begin anew with the sources in the body, a JSON list; empty: with all."""

    async def handler(request: web.Request) -> web.Response:
        name = request.match_info["name"]
        plugin = running.pipeline.plugins.get(name)
        if plugin is None:
            there = ", ".join(sorted(running.pipeline.plugins)) or "none"
            return _json({"error": f"no plugin {name!r} runs here; there are: {there}"}, 404)
        try:
            sources = {str(source) for source in orjson.loads(await request.read())}
        except (orjson.JSONDecodeError, TypeError):
            return _json({"error": "the body must be a JSON list of sources"}, 400)
        return _json({"forgotten": plugin.forget(sources or None)})

    return handler


def _release(running: Running) -> Handler:
    """Let the device that the body names speak again."""

    async def handler(request: web.Request) -> web.Response:
        name = (await request.read()).decode("utf-8", "replace")
        if running.pipeline.guard.release(name):
            return _json({"released": name})
        noisy = ", ".join(case["device"] for case in running.pipeline.guard.cases()) or "none"
        reason = f"{name!r} is neither limited nor quarantined; these are: {noisy}"
        return _json({"error": reason}, 404)

    return handler


def _json(document: Any, code: int = 200) -> web.Response:  # noqa: ANN401 - any JSON
    body = orjson.dumps(document, default=_plain, option=orjson.OPT_PASSTHROUGH_DATETIME)
    return web.Response(body=body, status=code, content_type="application/json")


def _plain(value: Any) -> Any:  # noqa: ANN401 - whatever DuckDB gives
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.hex()
    return str(value)
