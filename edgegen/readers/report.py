"""What a reader could not use, and why, counted so that nothing is lost in silence."""

from collections import Counter
from dataclasses import dataclass, field

# Files named with a reason; an import may have thousands.
NAMED_FILES = 3


@dataclass
class Report:
    """Counts of one import.

    records: packets of captures and rows of data sets seen
    flows:   flows handed on
    generated: rows that a table marks as `synthetic`
    source:  the file being read, to which reasons are booked
    by_file: for each reason why something was left out or changed, how often in which file
    said:    of the first files that are broken, a sentence each
    """

    records: int = 0
    flows: int = 0
    generated: int = 0
    source: str = ""
    by_file: dict[str, Counter[str]] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)

    def count(self, reason: str) -> None:
        """Book one more for a reason, worded so that it reads after a number ("3 packets that ...")."""
        self.by_file.setdefault(reason, Counter())[self.source] += 1

    def broken(self, name: str, error: Exception) -> None:
        """Book the file `name`, which cannot be read, or not to its end."""
        self.source = name
        self.count("files that cannot be read, or not to their end")
        if len(self.said) < NAMED_FILES:
            self.said.append(str(error))

    @property
    def reasons(self) -> Counter[str]:
        """How often each reason came up, over all files."""
        return Counter({reason: files.total() for reason, files in self.by_file.items()})

    def lines(self) -> list[str]:
        """One line for each reason, the most frequent first, with the files it concerns most; then what was said."""
        lines = []
        for reason, times in self.reasons.most_common():
            files = self.by_file[reason].most_common()
            named = [f"{name} {n:,}" for name, n in files[:NAMED_FILES]]
            if len(files) > NAMED_FILES:
                named.append(f"{len(files) - NAMED_FILES:,} more files")
            lines.append(f"{times:,} {reason} ({', '.join(named)})")
        return lines + self.said
