"""What the lake answers when it cannot do what it was asked; every message says what to do."""


class RefusedFile(Exception):
    """A file that must not land: missing columns, no rows, too many bad rows. Nothing of it has landed."""


class UnreadableFile(RefusedFile):
    """The file is not a table at all: binary, cut short, in an unknown encoding. Nothing of it has landed."""


class UnknownTable(Exception):
    """The lake does not hold this table, or did not at that version or time: ingest first."""


class UnwritableLake(Exception):
    """The lake's disk is full or read-only: make room and send the same file again. Nothing of it has landed."""
