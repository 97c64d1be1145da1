"""A histogram of times whose size does not grow with what it counts."""

# Each power of two is cut into 64 cells, so that a quantile is less than 1/64 too large.
CELL_BITS = 6


class Jitter:
    """Times of whole nanoseconds, none below 0; greatest: of all, 0 where there is none."""

    def __init__(self) -> None:
        self.greatest = 0
        self._count = 0
        self._cells: dict[int, int] = {}

    def add(self, time_ns: int) -> None:
        """Count one in."""
        cell = _cell(time_ns)
        self._cells[cell] = self._cells.get(cell, 0) + 1
        self._count += 1
        self.greatest = max(self.greatest, time_ns)

    def quantile(self, share: float) -> int:
        """The least time that `share` of all do not exceed, rounded up; 0 where there is none."""
        left = share * self._count
        for cell in sorted(self._cells):
            left -= self._cells[cell]
            if left <= 0:
                return min(_upper(cell), self.greatest)
        return self.greatest


def _cell(time_ns: int) -> int:
    """The leading bits of a time and how many follow them, as one number that rises with it."""
    following = max(0, time_ns.bit_length() - CELL_BITS - 1)
    return (following << CELL_BITS) + (time_ns >> following)


def _upper(cell: int) -> int:
    """The greatest time in a cell."""
    following = max(0, (cell >> CELL_BITS) - 1)
    return ((cell - (following << CELL_BITS) + 1) << following) - 1
