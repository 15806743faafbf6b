"""The route GET /usage, which reports what an owner has used, and how much is left today."""

from datetime import date
from typing import Annotated, Self

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, BeforeValidator, Field

from ..owner_limits import OwnerLimits
from ..services.usage import UsageReport, UsageReports
from ..web.times import require_day
from .dependencies import PROBLEM
from .job_filter import OWNER_PATTERN

router = APIRouter(tags=["usage"])

Day = Annotated[date, BeforeValidator(require_day)]


class DayUsage(BaseModel):
    """What the images of one describer have used that have ended on one day in UTC."""

    day: date
    describer: str
    images: int = Field(description="number of images, described or failed")
    failed: int = Field(description="number of them that have failed")
    bytes: int = Field(description="size of the images")
    input_tokens: int = Field(description="tokens that the provider has charged for requests")
    output_tokens: int = Field(description="tokens that the provider has charged for answers")


class UsedToday(BaseModel):
    """What an owner uses today, as far as this replica knows; approximately what limits see."""

    unfinished_jobs: int = Field(description="jobs and batches that are queued or processing")
    bytes: int = Field(description="size of today's images and of all unfinished jobs")
    provider_tokens: int = Field(description="tokens that providers have charged today")


class TodaysLimits(BaseModel):
    """The limits of an owner. null means no limit."""

    requests_per_second: int | None
    unfinished_jobs: int | None
    bytes_per_day: int | None
    provider_tokens_per_day: int | None

    @classmethod
    def of(cls, limits: OwnerLimits) -> Self:
        """Return the limits as clients see them."""
        return cls(
            requests_per_second=limits.requests_per_second or None,
            unfinished_jobs=limits.unfinished_jobs or None,
            bytes_per_day=limits.bytes_per_day or None,
            provider_tokens_per_day=limits.provider_tokens_per_day or None,
        )


class TodayUsage(BaseModel):
    """The limits of an owner, and what it uses today, in UTC."""

    limits: TodaysLimits
    used: UsedToday


class UsageResponse(BaseModel):
    """Response to GET /usage."""

    owner: str = Field(description="whose usage this is; empty for that of all owners")
    days: list[DayUsage] = Field(description="from the newest day to the oldest, by describer")
    next: date | None = Field(
        description="value of `before` with which the report continues; null if it is complete"
    )
    today: TodayUsage
    history: bool = Field(
        description="false if the release has no database: then, only those of today's jobs are "
        "known that are still in Kubernetes, and no images of batches"
    )

    @classmethod
    def of(cls, report: UsageReport) -> Self:
        """Return the response with a report."""
        used = report.used
        return cls(
            owner=report.owner,
            days=[DayUsage.model_validate(row, from_attributes=True) for row in report.days],
            next=report.next_before,
            today=TodayUsage(
                limits=TodaysLimits.of(report.limits),
                used=UsedToday.model_validate(used, from_attributes=True),
            ),
            history=report.is_complete,
        )


async def _reports(request: Request) -> UsageReports:
    reports: UsageReports = request.app.state.usage
    return reports


@router.get("/usage", responses=dict.fromkeys((403, 422, 503), PROBLEM))
async def usage(
    reports: Annotated[UsageReports, Depends(_reports)],
    *,
    after: Annotated[
        Day | None,
        Query(
            description="the first day (2026-11-01), in UTC; by default, 31 days before `before`"
        ),
    ] = None,
    before: Annotated[
        Day | None,
        Query(description="the day after the last one, in UTC; by default, tomorrow"),
    ] = None,
    owner: Annotated[
        str | None,
        Query(
            pattern=OWNER_PATTERN,
            description="whose usage; only for administrators. By default, the client's own; "
            "without authentication, that of all owners",
        ),
    ] = None,
) -> UsageResponse:
    """Return how many images, bytes and tokens were used, by day and describer.

    An image is counted within about two seconds of its end, and stays counted when its job is
    deleted. Numbers are kept for 400 days.
    """
    return UsageResponse.of(await reports.report(owner, after, before))
