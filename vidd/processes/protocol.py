"""The worker protocol: JSON lines between the daemon and a child that runs code of vidd's own.

The daemon writes questions to the child's stdin, one a line: an object whose `ask` names what is asked. The child
answers on its stdout, any number of progress lines and then one answer or one fault for each question:

    {"progress": [done, total]}         how many units are done; `total` is null where it is not known
    {"answer": {…}}
    {"fault": "refused" | "retry", "sentence": …, "code": …, "counts": …, "after": …}

Whatever the child prints to stderr is kept for the case that it dies.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vidd.errors import Fault, FaultCode, Refused, RetryLater

if TYPE_CHECKING:
    from collections.abc import Mapping


def fault_to_json(fault: Refused | RetryLater) -> dict[str, Any]:
    """The line that carries a fault."""
    line = {"sentence": fault.sentence, "code": fault.code.value}
    if isinstance(fault, RetryLater):
        return {"fault": "retry", **line, "counts": fault.counts, "after": fault.after}
    return {"fault": "refused", **line}


def fault_from_json(line: Mapping[str, Any]) -> Fault:
    """The fault that a line carries, to be raised."""
    code = FaultCode(line["code"])
    if line["fault"] == "retry":
        return RetryLater(line["sentence"], code=code, counts=line["counts"], after=line["after"])
    return Refused(line["sentence"], code=code)
