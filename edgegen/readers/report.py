"""What a reader could not use, and why, counted so that nothing is lost in silence."""

from collections import Counter
from dataclasses import dataclass, field


@dataclass
class Report:
    """Counts of one import.

    records: packets of captures and rows of data sets seen
    flows:   flows handed on
    reasons: for each reason why something was left out or changed, how often
    """

    records: int = 0
    flows: int = 0
    reasons: Counter[str] = field(default_factory=Counter)

    def count(self, reason: str, times: int = 1) -> None:
        """Add `times` to a reason, worded so that it reads after a number ("3 packets that ...")."""
        self.reasons[reason] += times

    def lines(self) -> list[str]:
        """One line for each reason, the most frequent first."""
        return [f"{times:,} {reason}" for reason, times in self.reasons.most_common()]
