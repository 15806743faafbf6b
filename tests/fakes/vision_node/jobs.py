"""What the fake vision-node server does with jobs."""

import json

from aiohttp import web

from .responses import Json, image_of, page, refusal
from .state import IMAGE_STARTS, ServerState


class JobHandlers(ServerState):
    """Handles requests for jobs."""

    async def submit(self, request: web.Request) -> web.Response:
        """Accept an image, once for each key."""
        data, key = await image_of(request), request.headers.get("Idempotency-Key")
        if not data.startswith(IMAGE_STARTS):
            return refusal(415, "UnsupportedFormat")

        job = f"job-{len(self.jobs)}"
        if key is not None:
            job = self.job_keys.setdefault(key, job)
        self.jobs[job] = data
        self.options[job] = dict(request.query)
        self.file_names.append(request.headers.get("Content-Disposition", ""))
        is_done = await self._wait(request) and not self.unfinished
        first = next(it for it in self.jobs if self.jobs[it] == data)
        reused = {"reused": first != job} if request.query.get("reuse") == "true" else {}
        if reused and first != job:
            job, is_done = first, True
        if is_done and "Prefer" in request.headers:
            state = self._job_state(job)
            outcome = state if state["error"] else {**state, **self._description()}
            return web.json_response({**outcome, **reused})

        phase, status = ("done", 200) if is_done and reused else ("queued", 202)
        return web.json_response({"job_id": job, "status": phase, **reused}, status=status)

    async def job_status(self, request: web.Request) -> web.Response:
        """Return the status of a job."""
        job = request.match_info["job"]
        if job not in self.jobs:
            return refusal(404, "JobNotFound")

        await self._wait(request)
        return web.json_response(self._job_state(job))

    def _job_state(self, job: str) -> Json:
        if self.unfinished:
            return {"job_id": job, "status": "processing", "describer": "local", "error": None}

        failed = self.jobs[job].decode("latin-1") in self.failing
        error = {"reason": "ImageUnreadable", "message": "it is damaged"} if failed else None
        status = "failed" if failed else "done"
        return {"job_id": job, "status": status, "describer": "local", "error": error}

    async def cancel_job(self, request: web.Request) -> web.Response:
        """Cancel a job, unless it is done."""
        job = request.match_info["job"]
        if job not in self.jobs:
            return refusal(404, "JobNotFound")
        if self.jobs[job].decode("latin-1") in self.failing:
            return refusal(409, "JobFinished")

        self.cancelled.add(job)
        return web.json_response({"job_id": job, "status": "processing", "describer": "local"})

    async def redeliver(self, request: web.Request) -> web.Response:
        """Send the message to the callback of a job or a batch again."""
        if request.match_info["name"] not in {**self.jobs, "holiday": b""}:
            return refusal(404, "JobNotFound")

        self.redelivered.append(request.path)
        state = {"state": "pending", "attempts": 0, "next_attempt_at": "2026-01-01T00:00:00Z"}
        return web.json_response({**state, "last_error": None, "delivered_at": None}, status=202)

    async def retry_job(self, request: web.Request) -> web.Response:
        """Create a job with the image of another, once for each key."""
        job, key = request.match_info["job"], request.headers["Idempotency-Key"]
        self.retries.append({**(await request.json()), "key": key})
        if job not in self.jobs:
            return refusal(404, "JobNotFound")

        new = self.job_keys.setdefault(key, f"job-{len(self.jobs)}")
        self.jobs[new] = self.jobs[job]
        return web.json_response({"job_id": new, "status": "queued"}, status=202)

    async def retry_failed(self, request: web.Request) -> web.Response:
        """Say that two of four failed jobs were retried, on two pages."""
        body = await request.json()
        self.retries.append({**body, "key": request.headers.get("Idempotency-Key")})
        if "cursor" in body:
            retried = [{"job_id": "job-8", "retry_of": "job-3"}]
            return web.json_response({"retried": retried, "failed": [], "next": None})

        retried = [{"job_id": "job-9", "retry_of": "job-4"}]
        failed = [{"job_id": "job-5", "reason": "ImageGone", "detail": "The image was deleted."}]
        return web.json_response({"retried": retried, "failed": failed, "next": "more"})

    async def delete_job(self, request: web.Request) -> web.Response:
        """Delete a job."""
        if self.jobs.pop(request.match_info["job"], None) is None:
            return refusal(404, "JobNotFound")
        return web.Response(status=204)

    async def job_result(self, request: web.Request) -> web.Response:
        """Return a description."""
        found = {"job_id": request.match_info["job"], "describer": "local"}
        return web.json_response({**found, **self._description()})

    async def list_jobs(self, request: web.Request) -> web.Response:
        """Return a page of jobs. Those with other phases leave gaps, so pages may be empty."""
        response = page(request, "jobs", [self._details(it) for it in self.jobs])
        found = json.loads(response.text or "")
        found["jobs"] = [it for it in found["jobs"] if _is_wanted(request, it)]
        return web.json_response(found)

    async def get_job(self, request: web.Request) -> web.Response:
        """Return everything about a job."""
        job = request.match_info["job"]
        if job not in self.jobs:
            return refusal(404, "JobNotFound")
        return web.json_response(self._details(job))

    async def export(self, request: web.Request) -> web.StreamResponse:
        """Stream everything about jobs. The cursor is the number of jobs before."""
        if "nonsense" in request.query.get("cursor", ""):
            return refusal(400, "InvalidCursor")

        response = web.StreamResponse(headers={"Content-Type": "application/jsonl"})
        await response.prepare(request)
        await response.write(b"\n")
        left = int(request.query.get("limit", len(self.jobs)))
        for number, job in enumerate(self.jobs, 1):
            details = self._details(job)
            is_new = number > int(request.query.get("cursor", 0))
            if left and is_new and _is_wanted(request, details):
                left -= 1
                await self._write(request, response, {**details, "cursor": str(number)})

        return response

    def _details(self, job: str) -> Json:
        failed = self.jobs[job].decode("latin-1") in self.failing
        error = {"reason": "ImageUnreadable", "message": "it is damaged"} if failed else None
        return {
            "job_id": job,
            "status": "failed" if failed else "done",
            "describer": "local",
            "created_at": "2026-01-08T09:30:00Z",
            "completed_at": "2026-01-08T09:30:01Z",
            "caption": None if failed else self.caption,
            "error": error,
            "image": {"file_name": "=cat.jpg"},
            "result": None if failed else self._description(),
            "result_error": None,
        }


def _is_wanted(request: web.Request, job: Json) -> bool:
    return job["status"] in request.query.getall("phase", [job["status"]])
