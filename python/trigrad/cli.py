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


def main(arguments: Sequence[str] | None = None) -> int:
    import argparse

    parser = argparse.ArgumentParser(prog="trigrad", description="Neural networks for physics.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("info", help="print the version, the instruction sets, the threads and the devices")
    parser.parse_args(arguments)
    print(info())
    return 0
