"""The labels of a model's classes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vidd.errors import FaultCode, Refused

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vidd.detection.settings import Darknet, Network


def configured_labels(settings: Network | Darknet) -> list[str] | None:
    """The labels of the settings, or in the file that they name; None where they name none. Refused where it cannot be read."""
    if settings.labels_file is None:
        return list(settings.labels) or None
    try:
        lines = settings.labels_file.read_text().splitlines()
    except (OSError, ValueError) as error:
        raise Refused(f"The labels in {settings.labels_file} cannot be read: {error}.") from None
    return [line.strip() for line in lines if line.strip()]


def label_of(labels: Sequence[str], number: int) -> str:
    """The label of a class (from 0), or its number where there are no labels. Refused where there are fewer."""
    if not labels:
        return str(number)
    if not 0 <= number < len(labels):
        raise Refused(
            f"The model found the class {number}, and there are {len(labels)} labels: correct them.",
            code=FaultCode.BAD_SETTINGS,
        )
    return labels[number]
