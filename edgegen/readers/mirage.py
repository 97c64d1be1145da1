"""MIRAGE-2019 JSON -> flows, one biflow in memory at a time.

A file is about one app, which its name says; a biflow with another label is background traffic of the phone.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from edgegen.errors import EdgegenError
from edgegen.flow import Flow
from edgegen.readers.build import build_flow
from edgegen.readers.options import Options
from edgegen.readers.report import Report
from edgegen.readers.source import open_text, stem

# <unixtime>_<package>_MIRAGE-2019_traffic_dataset_labeled_biflows.json
FILE_NAME = re.compile(r"\d+_(?P<package>.+?)_MIRAGE")
BACKGROUND = "background"
CHUNK = 1 << 20  # characters
LONGEST_ENTRY = 1 << 26  # characters; a biflow has 32 packets of at most 65,535 bytes, written in decimal


def read(path: Path, options: Options, report: Report) -> Iterator[Flow]:
    """The biflows of a MIRAGE-2019 file. EdgegenError where `path` is none."""
    named = FILE_NAME.match(path.name)
    package = named["package"] if named else None
    with open_text(path) as file:
        entries = 0
        for key, entry in _entries(file, path, report):
            entries += 1
            try:
                packets, label = entry["packet_data"], str(entry["flow_metadata"]["BF_label"])
                lists = packets["L4_payload_bytes"], packets["packet_dir"], packets["iat"]
            except (KeyError, TypeError):
                report.count("entries that are no MIRAGE biflow")
                continue
            if package not in (None, label):
                report.count(f"background flows {'kept' if options.keep_background else 'dropped'}")
                if not options.keep_background:
                    continue
                label = BACKGROUND
            flow = build_flow(label, *lists, key.rpartition(",")[2], stem(path), options, report)
            if flow:
                yield flow
    if not entries:
        raise EdgegenError(f"{path} is not a MIRAGE-2019 file: it holds no JSON object of biflows")


def _entries(file: IO[str], path: Path, report: Report) -> Iterator[tuple[str, Any]]:
    """Key and value of each member of the JSON object in `file`, as far as it is sound."""
    text = _Text(file)
    if text.skip() != "{":
        return
    text.at += 1
    while text.skip() != "}":
        try:
            key = text.value()
            if text.skip() != ":":
                raise ValueError("a key without a value")
            text.at += 1
            value = text.value()
        except (ValueError, RecursionError):
            report.count("files that break off or are damaged in the middle: what came before was read")
            return
        yield str(key), value
        if text.skip() == ",":
            text.at += 1


class _Text:
    """A window on the file that grows until the value at its start is whole."""

    def __init__(self, file: IO[str]) -> None:
        self.file, self.window, self.at = file, "", 0
        self.decoder = json.JSONDecoder()

    def skip(self) -> str:
        """The next character that is no white space, without taking it; empty at the end."""
        while True:
            while self.at < len(self.window):
                if not self.window[self.at].isspace():
                    return self.window[self.at]
                self.at += 1
            self.window, self.at = self.file.read(CHUNK), 0
            if not self.window:
                return ""

    def value(self) -> Any:
        """Take one JSON value. ValueError where none is there, or none that ends."""
        self.skip()
        while True:
            try:
                value, self.at = self.decoder.raw_decode(self.window, self.at)
            except ValueError:
                self.window, self.at = self.window[self.at :], 0
                # Doubling keeps the work of trying again proportional to the value's length.
                more = self.file.read(max(CHUNK, len(self.window))) if len(self.window) < LONGEST_ENTRY else ""
                if not more:
                    raise
                self.window += more
            else:
                return value
