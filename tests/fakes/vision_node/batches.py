"""What the fake vision-node server does with batches."""

import asyncio
import json

from aiohttp import web

from .responses import Json, page, refusal
from .state import IMAGE_STARTS, POLL_SECONDS, Batch, ServerState


class BatchHandlers(ServerState):
    """Handles requests for batches, their images and their results."""

    async def create_batch(self, request: web.Request) -> web.Response:
        """Create a batch, once for each key."""
        spec = await request.json()
        batch = self._new_batch(request.headers["Idempotency-Key"], spec)
        if "upload" not in spec:
            batch.images = {"in-bucket.jpg": b""}
            self._start(batch)

        return created(batch)

    def _new_batch(self, key: str, spec: Json) -> Batch:
        for batch in self.batches.values():
            if batch.key == key:
                return batch

        name = spec.get("name") or f"batch-{len(self.batches)}"
        return self.batches.setdefault(name, Batch(name, key, spec))

    async def list_batches(self, request: web.Request) -> web.Response:
        """Return a page of batches."""
        shown = ("name", "status", "describer", "images", "created_at")
        states = [self._state(it) for it in self.batches.values()]
        entries = [{name: state[name] for name in shown} for state in states]
        return page(request, "batches", entries)

    async def get_batch(self, request: web.Request) -> web.Response:
        """Return the state of a batch."""
        batch = self._find(request)
        await self._wait(request)
        return web.json_response(self._state(batch))

    async def delete_batch(self, request: web.Request) -> web.Response:
        """Delete a batch."""
        del self.batches[self._find(request).name]
        return web.Response(status=204)

    async def put_image(self, request: web.Request) -> web.Response:
        """Store an image of a batch that is not started."""
        batch, custom_id = self._find(request), request.match_info["custom_id"]
        data = await request.read()
        if "\n" in custom_id:
            return refusal(422, "NameInvalid")
        if batch.started:
            return refusal(409, "UploadComplete")

        self.puts[custom_id] += 1
        if not data.startswith(IMAGE_STARTS):
            return refusal(415, "UnsupportedFormat")
        batch.images[custom_id] = data
        return web.Response(status=204)

    async def list_images(self, request: web.Request) -> web.Response:
        """Return the images of a batch, as JSON Lines."""
        images = self._find(request).images
        found = [json.dumps({"customId": it, "size": len(images[it])}) for it in sorted(images)]
        return web.Response(text="".join(f"{it}\n" for it in found))

    async def act(self, request: web.Request) -> web.Response:
        """Start, cancel, suspend, resume or retry a batch."""
        batch, action = self._find(request), request.match_info["action"]
        match action:
            case "start":
                batch.starts += 1
                self._start(batch)
            case "cancel":
                batch.status, batch.error = "failed", {"reason": "Cancelled", "message": "by you"}
            case "suspend" | "resume":
                batch.suspended = action == "suspend"
            case "retry":
                return self._retry(batch, request.headers["Idempotency-Key"])

        return web.json_response(self._state(batch), status=202)

    def _start(self, batch: Batch) -> None:
        if batch.started:
            return

        batch.started, batch.status = True, "processing"
        # Images are described in another order than they were sent in.
        lines = [self._line(i, name) for i, name in enumerate(sorted(batch.images))][::-1]
        size = self.part_size
        batch.parts = [lines[i : i + size] for i in range(0, len(lines), size)]

    def _retry(self, batch: Batch, key: str) -> web.Response:
        retried = self._new_batch(key, batch.spec | {"name": f"{batch.name}-retry-{key[:8]}"})
        retried.images = {
            line["customId"]: batch.images[line["customId"]]
            for line in batch.lines
            if "error" in line and line["customId"] in batch.images
        }
        self._start(retried)
        return created(retried)

    def _line(self, index: int, custom_id: str) -> Json:
        line = {"index": index, "customId": custom_id, "key": f"batches/x/{custom_id}"}
        if custom_id in self.failing:
            return {**line, "error": {"reason": "ImageUnreadable", "message": "it is damaged"}}
        return {**line, "result": self._description()}

    async def results(self, request: web.Request) -> web.StreamResponse:
        """Stream results with marks, and follow the batch if the client wants it."""
        batch = self._find(request)
        response = web.StreamResponse(headers={"Content-Type": "application/jsonl"})
        await response.prepare(request)

        sent = int(request.query.get("after", 0))
        while sent < len(batch.parts):
            if self.part_limit is not None and sent >= self.part_limit:
                if self.is_closing or request.query.get("follow") != "true":
                    return response
                await response.write(b"\n")
                await asyncio.sleep(POLL_SECONDS)
                continue

            for line in batch.parts[sent]:
                if request.query.get("phase", _phase(line)) == _phase(line):
                    await self._write(request, response, line)
            sent += 1
            await response.write(json.dumps({"after": sent}).encode() + b"\n")

        if batch.status == "processing":
            batch.status = "done"
        return response

    def _find(self, request: web.Request) -> Batch:
        try:
            return self.batches[request.match_info["name"]]
        except KeyError:
            response = refusal(404, "BatchNotFound")
            raise web.HTTPNotFound(
                text=response.text, content_type="application/problem+json"
            ) from None

    def _state(self, batch: Batch) -> Json:
        ended = batch.lines if batch.status in {"done", "failed"} else []
        failed = sum("error" in line for line in ended)
        return {
            "name": batch.name,
            "uid": f"uid-{batch.name}",
            "status": batch.status,
            "images": {
                "total": len(batch.images),
                "done": len(ended) - failed,
                "failed": failed,
            },
            "describer": batch.spec.get("describer", "local"),
            "created_at": "2026-01-08T09:30:00Z",
            "rate": 41.5,
            "remaining_seconds": 2.0,
            "suspended": batch.suspended,
            "waiting": None,
            "error": batch.error,
            "results": {"parts": len(batch.parts) if ended else 0, "size_bytes": 1},
        }


def _phase(line: Json) -> str:
    return "failed" if "error" in line else "done"


def created(batch: Batch) -> web.Response:
    """Return the response to the request that created a batch."""
    body = {"name": batch.name, "uid": f"uid-{batch.name}", "status": batch.status, "images": 0}
    body |= {"skipped": 0, "refused": {"count": 0, "files": []}, "links": {}}
    return web.json_response(body, status=202, headers={"Location": f"/batches/{batch.name}"})
