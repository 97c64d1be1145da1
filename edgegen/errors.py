"""The two ways a command ends badly, each with one sentence for the user."""


class EdgegenError(Exception):
    """The job failed (exit status 1). The message says what is wrong, where, and what to do."""


class UsageError(EdgegenError):
    """The command was called wrongly (exit status 2): a bad flag, an unknown label, a wrong suffix."""
