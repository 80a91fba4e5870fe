"""The three fates of an error, raised where the knowledge is.

Every sentence is for an operator: what happened, why, and what to do. It never holds a secret.
"""

from __future__ import annotations


class Fault(Exception):
    """An error whose fate is known. Anything else that is raised is a defect of vidd.

    `said` is what a program said last, in lines, and `step` the name of the step it happened in, for whoever is told.
    """

    def __init__(self, sentence: str, *, said: str = "") -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.said = said
        self.step: str | None = None


class RetryLater(Fault):
    """The same call may succeed later: 429, 5xx before anything was sent, quota, disk full.

    `after` is in seconds; None leaves the time to the retry rule. A wait that is nobody's failure
    (a quota, a full disk) has `counts=False` and uses up no attempt.
    """

    def __init__(self, sentence: str, *, after: float | None = None, counts: bool = True, said: str = "") -> None:
        super().__init__(sentence, said=said)
        self.after = after
        self.counts = counts


class Refused(Fault):
    """Never like this: the input or the settings must change first."""


class OutcomeUnknown(Fault):
    """The request went out and no answer came. It is not sent again before somebody has looked."""
