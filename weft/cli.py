"""The command line: `weft COMMAND`, or `python -m weft COMMAND`.

Results go to standard output, progress and errors to standard error. The exit status is 0; 1 for what failed; 2 for
wrong use. Each command is a module of weft/commands/ with `add` (its arguments) and `run`.
"""

from __future__ import annotations

import argparse
import importlib
import os
import signal
import sys
import textwrap
from collections.abc import Sequence

from . import __version__
from .runtime.errors import ArgumentError, InternalError, WeftError

COMMANDS = {
    "train": "train a model and keep the run: pictures, parameters, figures",
    "models": "the models that can be trained, one a line",
    "explain": "what the compiler made of a function of a script",
    "doctor": "what weft finds on this machine, and what brings what is missing",
    "cache": "the cache of compiled programs: info, clear",
    "bench": "timings on this machine",
}


def main(arguments: Sequence[str] | None = None) -> int:
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        return _run(given)
    except ArgumentError as e:
        return _failed(e, 2)
    except InternalError:
        raise  # a defect of weft: its place is worth showing
    except (WeftError, OSError) as e:
        if isinstance(e, BrokenPipeError):  # the reader of a pipe has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 128 + signal.SIGPIPE
        return _failed(e, 1)
    except MemoryError as e:
        return _failed(MemoryError(f"out of memory: {e}"), 1)
    except KeyboardInterrupt:
        print("weft: interrupted", file=sys.stderr)
        return 128 + signal.SIGINT


def _run(given: list[str]) -> int:
    parser = argparse.ArgumentParser(
        "weft", description="Symbolic expressions compiled to fused C, and models made of them.",
        epilog="example: weft train relu     (weft COMMAND --help has more)",
    )  # fmt: skip
    parser.add_argument("--version", action="version", version=f"weft {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    name = next((a for a in given if not a.startswith("-")), None)
    passes_on = False
    for command, what in COMMANDS.items():
        added = commands.add_parser(command, help=what, formatter_class=argparse.RawDescriptionHelpFormatter)
        if command == name:  # the others are not loaded
            module = importlib.import_module(f".commands.{command}", __package__)
            what, _, example = (module.__doc__ or "").partition("\n\n")
            added.description = textwrap.fill(what, 78)
            added.epilog = example.strip("\n")
            module.add(added)
            added.set_defaults(run=module.run)
            passes_on = getattr(module, "PASSES_ON", False)
            rest = given[given.index(name) + 1 :]
            if rest and (part := getattr(module, "PARTS", {}).get(rest[0])):
                return part(rest[1:])
    options, rest = parser.parse_known_args(given)
    if rest and not passes_on:
        commands.choices[options.command].error(f"unrecognized arguments: {' '.join(rest)}")
    options.rest = rest
    status = options.run(options)
    sys.stdout.flush()
    return status


def _failed(error: BaseException, status: int) -> int:
    text = str(error) or type(error).__name__
    print(f"weft: {text}", file=sys.stderr)
    return status
