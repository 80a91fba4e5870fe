"""The three fates of an error, each raised where the knowledge is, with a code for programs and a sentence for people.

The sentence is for an operator: what happened, why, and what to do. It never holds a secret, and no code of vidd reads it.
"""

from __future__ import annotations

from enum import StrEnum


class FaultCode(StrEnum):
    """Why something failed. Exit codes, retry decisions and metrics use it."""

    # The same call may succeed later.
    RATE_LIMITED = "rate_limited"  # 429, or a provider's own word for it
    UNAVAILABLE = "unavailable"  # 5xx, or an answer that makes no sense
    NO_DAEMON = "no_daemon"  # the command found no daemon to ask
    UNREACHABLE = "unreachable"  # no connection, no name, a connection that broke
    PROXY_DOWN = "proxy_down"  # the proxy cannot be reached, or cannot reach the server; nothing was sent
    QUOTA = "quota"  # a daily or monthly allowance is used up
    DISK_FULL = "disk_full"
    BUSY = "busy"  # locked by somebody else, or at work already
    STALLED = "stalled"  # no progress for too long
    INTERRUPTED = "interrupted"  # killed, crashed, out of memory
    PENDING = "pending"  # the other side has not finished
    # The input, the settings or the rights must change first.
    BAD_INPUT = "bad_input"
    BAD_SETTINGS = "bad_settings"
    UNAUTHORIZED = "unauthorized"  # 401: the credentials are wrong
    FORBIDDEN = "forbidden"  # 403: the right is missing
    PROXY_REFUSED = "proxy_refused"  # the proxy wants a login, or does not let vidd through
    NOT_FOUND = "not_found"
    CONFLICT = "conflict"  # something else is there already, or changed meanwhile
    NOT_INSTALLED = "not_installed"  # a program, a package or a feature of ffmpeg is missing
    REJECTED = "rejected"  # the provider said no, for a reason of its own
    # The request went out and no answer came.
    NO_ANSWER = "no_answer"


class Fault(Exception):
    """An error whose fate is known. Anything else that is raised is a defect of vidd.

    `said` holds the last lines that a program printed, `step` the name of the step it happened in.
    """

    default_code: FaultCode

    def __init__(self, sentence: str, *, code: FaultCode | None = None, said: str = "") -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.code = code or self.default_code
        self.said = said
        self.step: str | None = None


class RetryLater(Fault):
    """The same call may succeed later: 429, 5xx before anything was sent, quota, disk full.

    `after` is in seconds; None leaves the time to the retry rule. A wait that is nobody's failure
    (a quota, a full disk) has `counts=False` and uses up no attempt.
    """

    default_code = FaultCode.UNAVAILABLE

    def __init__(
        self,
        sentence: str,
        *,
        after: float | None = None,
        counts: bool = True,
        code: FaultCode | None = None,
        said: str = "",
    ) -> None:
        super().__init__(sentence, code=code, said=said)
        self.after = after
        self.counts = counts


class Refused(Fault):
    """The same call cannot succeed: the input, the settings or the rights must change first."""

    default_code = FaultCode.BAD_INPUT


class OutcomeUnknown(Fault):
    """The request went out and no answer came. vidd asks the other side before it sends the request again."""

    default_code = FaultCode.NO_ANSWER
