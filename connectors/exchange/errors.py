"""What can go wrong between a venue and whoever asks it.

::

    RetryError
    └── VenueAwayError              the venue does not answer as it should
        ├── ConnectionLostError     a websocket has ended, in a word by ``cause``
        ├── NotSentError            it has not acted on the request: refused for its rate or its time, or never left
        │   └── RateLimitedError    it wants to be left alone for ``retry_after_s``
        └── UnknownOutcomeError     it may have acted on the request: ask before sending it again
    VenueError                      it has refused the request, for good
"""

from __future__ import annotations

from quantum.errors import RetryError, VenueError


class VenueAwayError(RetryError):
    """The venue does not answer as it should."""


class ConnectionLostError(VenueAwayError):
    """A websocket has ended, fallen silent or could not be made; ``cause`` says which in a word."""

    def __init__(self, message: str, cause: str, remedy: str = "") -> None:
        super().__init__(message, remedy)
        self.cause = cause


class NotSentError(VenueAwayError):
    """The venue has not acted on the request."""


class RateLimitedError(NotSentError):
    """The venue wants to be left alone for ``retry_after_s`` seconds."""

    def __init__(self, message: str, retry_after_s: float) -> None:
        super().__init__(message, "ask less, or for fewer symbols")
        self.retry_after_s = retry_after_s


class UnknownOutcomeError(VenueAwayError):
    """The venue may or may not have acted on the request."""


VENUE_IS_AWAY = (VenueAwayError, VenueError)
"""What a feed waits out."""
