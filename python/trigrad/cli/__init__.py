"""The command ``trigrad``: each subcommand is a file of its own, loaded when it is asked for."""

from __future__ import annotations

import argparse
import importlib
import os
import re
import sys
from collections.abc import Sequence

COMMANDS = {
    "study": "train, evaluate, compile, time and export a network, on toy jets or on a file of yours",
    "predict": "what a saved model says of the events of a file",
    "export": "make a saved model a plan file and a C++ header",
    "latency": "time a plan file: single events, caches, batches, other libraries",
    "bench": "time training and inference against PyTorch, scikit-learn and others that are installed",
    "info": "print the version, the instruction sets, the threads and the devices, or what a file holds",
}


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """What is asked for; `run` of it does it."""
    parser = argparse.ArgumentParser(prog="trigrad", description="Neural networks for physics.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="{" + ",".join(COMMANDS) + "}")
    given = list(sys.argv[1:] if arguments is None else arguments)
    wanted = next((word for word in given if not word.startswith("-")), None)
    for name, words in COMMANDS.items():
        command = commands.add_parser(name, help=words, description=f"{words[0].upper()}{words[1:]}.")
        if name == wanted:
            module = importlib.import_module(f"trigrad.cli.{name}")
            module.add_arguments(command)
            command.set_defaults(run=module.run)
    return parser.parse_args(given)


def _words(error: BaseException) -> str:
    """What went wrong, in one line, in the words of the command: features=[...] is --features."""
    if isinstance(error, OSError) and error.strerror is not None:
        text = error.strerror if error.filename is None else f"{error.strerror}: {error.filename}"
    else:
        text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    text = re.sub(r"\b(features|tree)=(\[\.\.\.\]|\.\.\.)", r"--\1", text)
    return " ".join(re.sub(r"\b(constant|nan|task)='(\w+)'", r"--\1 \2", text).split())


def main(arguments: Sequence[str] | None = None) -> int:
    name = "trigrad"
    try:
        found = parse(arguments)
        name = f"trigrad {found.command}"
        said = found.run(found)
        if said is not None:
            print(said, flush=True)
    except BrokenPipeError:  # who reads has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except (OSError, ValueError, RuntimeError, TypeError, LookupError, ImportError, MemoryError) as error:
        print(f"{name}: {_words(error)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"{chr(10) * sys.stdout.isatty()}{name}: interrupted", file=sys.stderr)
        return 130
    return 0
