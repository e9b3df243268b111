"""The command ``trigrad``."""

from __future__ import annotations

from collections.abc import Sequence


def info() -> str:
    """What this build of trigrad is and what it runs on, one line each."""
    from trigrad import _core

    build = _core.build_info()
    rows = {
        "trigrad": build["version"],
        "arithmetic": f"version {build['arithmetic_version']}",
        "ISA": f"{build['isa']} (available: {', '.join(build['isa_available'])})",
        "threads": str(build["num_threads"]),
        "compiler": build["compiler"],
        "CUDA": build["cuda"] or "available",
    }
    width = max(map(len, rows))
    return "\n".join(f"{name:<{width}}  {value}" for name, value in rows.items())


def latency(plan: str, events: str | None, seconds: float, json: str | None, html: str | None) -> str:
    """Time a plan file on this machine."""
    import numpy

    from trigrad import realtime

    predictor = realtime.Predictor.load(plan)
    if events is None:
        x = numpy.random.default_rng(0).standard_normal((1024, predictor.inputs)).astype("float32")
    else:
        x = numpy.load(events)
    found = realtime.study(predictor, x, seconds=seconds)
    if json is not None:
        found.to_json(json)
    if html is not None:
        found.to_html(html)
    return str(found)


def main(arguments: Sequence[str] | None = None) -> int:
    import argparse

    parser = argparse.ArgumentParser(prog="trigrad", description="Neural networks for physics.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("info", help="print the version, the instruction sets, the threads and the devices")
    timing = commands.add_parser("latency", help="time a plan file: single events, caches, batches")
    timing.add_argument("plan", help="what Predictor.save wrote")
    timing.add_argument("--events", help="events to time, a .npy file (N, features) of float32; else random ones")
    timing.add_argument("--seconds", type=float, default=1.0, help="for each measurement")
    timing.add_argument("--json", help="write all numbers, with where and how they were taken")
    timing.add_argument("--html", help="write a page with tables and histograms")
    given = parser.parse_args(arguments)
    if given.command == "latency":
        print(latency(given.plan, given.events, given.seconds, given.json, given.html))
    else:
        print(info())
    return 0
