"""One record of a data set, of whatever quality -> a flow that keeps the contract, or a counted reason."""

from typing import Any

from edgegen.flow import TCP, UDP, Flow, fault, unicode
from edgegen.readers.biflow import BACKWARDS
from edgegen.readers.options import Options
from edgegen.readers.report import Report

# A column with gaps comes as floating-point numbers.
PROTOCOLS = {"6": TCP, "6.0": TCP, "tcp": TCP, "17": UDP, "17.0": UDP, "udp": UDP}
NO_PAYLOAD = "flows without payload"


def build_flow(
    label: Any, pl: Any, direction: Any, iat: Any, proto: Any, session: Any, options: Options, report: Report
) -> Flow | None:
    """The flow of one record, cut and filtered as `options` say; None, and a reason in `report`, without one.

    pl, direction (0 client to server, 1 back) and iat (seconds) should be lists of one length.
    """
    report.records += 1
    name = unicode(options.label or (str(label) if label is not None else ""))
    if not name:
        report.count("flows without a label")
        return None
    try:
        flow = Flow(
            name,
            *_kept(pl, direction, iat, options, report),
            parse_proto(proto),
            unicode("" if session is None else str(session)),
        )
    except (TypeError, ValueError, OverflowError):
        report.count("flows whose packets are not lists of numbers of one length")
        return None
    if not flow.pl:
        report.count(NO_PAYLOAD)
        return None
    if wrong := fault(flow):
        report.count(f"flows with {wrong}")
        return None
    return flow


def parse_proto(value: Any) -> int | None:
    """6 or 17 from a number or a name; None where the source does not say or says something else."""
    return PROTOCOLS.get(str(value).lower())


def _kept(
    pl: Any, direction: Any, iat: Any, options: Options, report: Report
) -> tuple[list[int], list[int], list[float]]:
    """The packets kept; the time of a dropped one goes to the next, and of it what one came too early."""
    kept: tuple[list[int], list[int], list[float]] = ([], [], [])
    gap = 0.0
    for size, way, time in zip(pl, direction, iat, strict=True):
        time = float(time)
        if time < 0:
            report.count(BACKWARDS)
        gap += time
        if not (size or options.keep_empty):
            continue
        if len(kept[0]) == options.max_packets:
            break
        kept[2].append(max(gap, 0.0) if kept[0] else 0.0)
        gap = min(gap, 0.0) if kept[0] else 0.0
        kept[0].append(_whole(size))
        kept[1].append(_whole(way))
    return kept


def _whole(value: Any) -> int:
    number = int(value)
    if number != value:
        raise ValueError(f"{value!r} is not a whole number")
    return number
