"""Advance a flow from step to step."""

from typing import Generic, TypeVar

from .steps import Flow, Step

T = TypeVar("T")


class Running(Generic[T]):
    """A flow that has been started."""

    step: Step | None
    """The step to perform next; None if the flow has ended."""
    value: T
    """What the flow has returned. It exists once there is no next step."""

    def __init__(self, flow: Flow[T]) -> None:
        self._flow = flow
        self.send(None)

    def send(self, result: object) -> None:
        """Go on with the result of the step. Errors of the flow itself are raised."""
        try:
            self.step = self._flow.send(result)
        except StopIteration as end:
            self._end(end)

    def throw(self, error: Exception) -> None:
        """Go on after the step has failed. Errors that the flow does not handle are raised."""
        try:
            self.step = self._flow.throw(error)
        except StopIteration as end:
            self._end(end)

    def _end(self, end: StopIteration) -> None:
        self.step, self.value = None, end.value
