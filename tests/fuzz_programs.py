"""Random programs, compiled against interpreted (docs/testing.md).

python tests/fuzz_programs.py --seed 0 --count 300            # programs 0 to 299; --grad: their gradients too
python tests/fuzz_programs.py --seed 12 --count 1 --text      # prints the program; --dropped: lines that it lost
python tests/fuzz_programs.py ... --record FILE               # goes on where a run with this file was stopped
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import hashlib
import io
import json
import os
import pickle
import random
import select
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import fuzz_coverage
from fuzz_check import Report, check, grown
from fuzz_shrink import shrunk

import weft
import weft.compiler.pipeline
import weft.compiler.schedule.inplace  # loaded before processes are forked: all compare one state of the files

UNDECIDED = 0.02
SECONDS, PER_SEED = 600.0, 60.0  # that a group may take, shrinking too, before it counts as one that does not end


def report_of(seeds: Sequence[int], grad: bool = False, cover: bool = True) -> Report:
    report = Report()
    check(grown(seeds, grad, report), report, fuzz_coverage.look if cover else None)
    return report


def in_child(seeds: Sequence[int], grad: bool, shrinking: bool = True) -> Report:
    """In a process of its own: what stops it, or never ends, does so to this group only."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        with os.fdopen(writer, "wb") as out:
            try:
                report = report_of(seeds, grad)
            except BaseException as e:
                report = Report(failures=[f"seeds {list(seeds)}: {type(e).__name__}: {e}"])
            pickle.dump(report, out)
            out.flush()
            for seed, g, text in report.failed[:2] if shrinking else ():
                if not text.startswith("only together"):
                    pickle.dump(shrunk(seed, g), out)
                    out.flush()
        os._exit(0)
    os.close(writer)
    limit = SECONDS + PER_SEED * len(seeds)
    data, ended = read_until(reader, time.monotonic() + limit)
    if not ended:
        os.kill(child, signal.SIGKILL)
    status = os.waitpid(child, 0)[1]
    how = "" if ended and os.WIFEXITED(status) else f"stopped with status {status}" if ended else "did not end"
    how += f" in {limit:.0f} s" * (not ended)
    found = list(unpickled(data))
    if found:
        report, *texts = found
        report.failures += [*texts, *([f"seeds {list(seeds)}: shrinking {how}"] if how else [])]
        return report
    if len(seeds) == 1:
        text = f"seed {seeds[0]}{' --grad' if grad else ''}: {how or 'nothing came back'}"
        return Report(programs=1, failures=[text], failed=[(seeds[0], grad, text)])
    total = Report()
    for s in seeds:
        total.add(in_child([s], grad, shrinking))
    if not total.failed:
        total.failures.append(f"only together, seeds {list(seeds)}{' --grad' if grad else ''}: {how}")
        total.failed.append((seeds[0], grad, total.failures[-1]))
    return total


def read_until(reader: int, end: float) -> tuple[bytes, bool]:
    """What comes from a pipe, and whether its other end was closed in time."""
    data = b""
    with os.fdopen(reader, "rb", buffering=0) as back:
        while select.select([back], [], [], max(end - time.monotonic(), 0))[0]:
            more = back.read(1 << 16)
            if not more:
                return data, True
            data += more
    return data, False


def unpickled(data: bytes) -> Iterator[Any]:
    """The whole values in it."""
    stream = io.BytesIO(data)
    with contextlib.suppress(EOFError, pickle.UnpicklingError):
        while True:
            yield pickle.load(stream)


def groups(options: argparse.Namespace) -> Iterator[tuple[list[int], bool]]:
    for first in range(options.seed, options.seed + options.count, options.group):
        seeds = list(range(first, min(first + options.group, options.seed + options.count)))
        yield seeds, False
        if options.grad:
            yield seeds, True


Done = tuple[tuple[int, ...], bool]


def digest() -> str:
    """Of all that the results depend on: weft, and what makes and compares programs."""
    root = Path(__file__).parent.parent
    files = [p for d in ("compiler", "runtime", "kernels", "weft") for p in (root / d).rglob("*")]
    files = [p for p in files if p.suffix in (".py", ".c", ".h", ".cuh")] + [*(root / "tests").glob("fuzz_*.py")]
    text = b"".join(str(p.relative_to(root)).encode() + b"\0" + p.read_bytes() for p in sorted(files))
    return hashlib.sha256(text).hexdigest()[:16]


def recorded(path: Path, of: str | None = None) -> dict[Done, Report]:
    """What the groups that a file tells of came to. Processes side by side may write to one file, and one that was
    killed may have left part of a line. `of`: the digest that they must have."""
    found: dict[Done, Report] = {}
    with contextlib.suppress(FileNotFoundError):
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
            try:
                whole = json.loads(line)
            except ValueError:
                print(f"{path}:{number}: not a whole line, so its group runs again", file=sys.stderr)
                continue
            group, report, made = read_record(whole, f"{path}:{number}")
            if of is not None and made != [of]:
                raise SystemExit(
                    f"{path}:{number}: a run of other files ({', '.join(made) or 'unknown'}, not {of}); "
                    "take another file, or --any-record to count it all the same"
                )
            found[group] = report
    return found


class NoRecord(Exception):
    """A line of a file that is no record of a group."""


KINDS: dict[str, type] = {f.name: type(getattr(Report(), f.name)) for f in dataclasses.fields(Report)}


def read_record(line: Any, where: str) -> tuple[Done, Report, list[Any]]:
    """The group, what it came to, and the digest, where there is one."""
    try:
        seeds, grad, fields, *made = line
        counts = {name: Counter(fields.get(name, ())) for name, kind in KINDS.items() if kind is Counter}
        fields = {**vars(Report()), **fields, **counts} if fields else {}
        right = type(grad) is bool and all(type(s) is int for s in seeds) and fields.keys() == KINDS.keys()
        right = right and all(type(n) is int for c in counts.values() for n in c.values())
        if right and all(type(fields[name]) is kind for name, kind in KINDS.items()):
            return (tuple(seeds), grad), Report(**fields), made
    except (AttributeError, TypeError, ValueError):
        pass
    raise NoRecord(f"{where}: no record of this command: take another file")


def record(path: Path, seeds: Sequence[int], grad: bool, report: Report, made: str) -> None:
    with path.open("a+b", buffering=0) as f:
        if f.seek(0, os.SEEK_END):
            f.seek(-1, os.SEEK_END)
        start = b"" if f.read(1) in (b"", b"\n") else b"\n"  # after part of a line
        f.write(start + json.dumps([list(seeds), grad, vars(report), made]).encode() + b"\n")  # in one piece


def main() -> int:
    parser = argparse.ArgumentParser(description="random programs, compiled against interpreted")
    parser.add_argument("--seed", type=int, default=0, help="of the first program")
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--grad", action="store_true", help="programs of gradients besides")
    parser.add_argument("--group", type=int, default=16, help="programs a function")
    parser.add_argument("--text", action="store_true", help="only print the programs")
    parser.add_argument("--dropped", action="store_true", help="only print the lines that were grown and not kept")
    parser.add_argument("--any-coverage", action="store_true", help="a kind that is not reached does not fail")
    parser.add_argument("--record", type=Path, help="groups in this file are not run again, but count; others go there")
    parser.add_argument("--any-record", action="store_true", help="results of another weft count, too")
    options = parser.parse_args()
    if options.seed < 0:
        parser.error("--seed: seeds are 0 or more")
    if options.group < 1:
        parser.error("--group: a function has at least one program")
    if options.record:
        try:
            options.record.open("ab").close()
        except OSError as e:
            parser.error(f"--record: {options.record}: {e.strerror}")
    weft.config.verify, weft.config.reuse = True, False
    if options.text or options.dropped:
        for s in range(options.seed, options.seed + options.count):
            for p in grown([s], options.grad):
                if options.text:
                    print(p.text(), end="\n\n")
                for kind, line in p.dropped if options.dropped else ():
                    print(f"seed {s}, {kind}: {line}")
        return 0
    made = digest()
    try:
        done = recorded(options.record, None if options.any_record else made) if options.record else {}
    except NoRecord as e:
        parser.error(str(e))
    start, total = time.time(), Report()
    for k, (seeds, grad) in enumerate(groups(options)):
        report = done.get((tuple(seeds), grad)) or in_child(seeds, grad)
        if options.record and (tuple(seeds), grad) not in done:
            record(options.record, seeds, grad, report, made)
        total.add(report)
        for text in report.failures:
            print(text, end="\n\n", flush=True)
        if k % 10 == 9:
            print(f"{total.programs} programs, {time.time() - start:.0f} s", file=sys.stderr, flush=True)
    text, missing = fuzz_coverage.table(total.coverage)
    print(text)
    if missing:
        print(f"not reached: {', '.join(missing)}")
    print("not kept: " + (", ".join(f"{kind} {n}" for kind, n in total.dropped.most_common()) or "nothing"))
    share = total.undecided / max(total.outputs, 1)
    print(
        f"{total.programs} programs, {total.outputs} outputs, {total.slopes} derivatives against differences "
        f"({total.resolved} resolvable to 10 %, {total.zero} zero, {total.rough} at a kink), "
        f"{total.faults} calls that had to fail: "
        f"{len(total.failed)} programs differ, {total.undecided} undecided ({100 * share:.2f} %), "
        f"{time.time() - start:.0f} s"
    )
    return bool(total.failures or share > UNDECIDED or (missing and not options.any_coverage))


if __name__ == "__main__":
    random.seed(0)
    sys.exit(main())
