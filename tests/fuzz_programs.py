"""Random programs, compiled against interpreted (docs/testing.md).

python tests/fuzz_programs.py --seed 0 --count 300            # programs 0 to 299; --grad: their gradients too
python tests/fuzz_programs.py --seed 12 --count 1 --text      # prints the program
python tests/fuzz_programs.py ... --record FILE               # goes on where a run with this file was stopped
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import pickle
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import fuzz_coverage
from fuzz_check import Report, check, grown
from fuzz_shrink import shrunk

import weft
import weft.compiler.pipeline
import weft.compiler.schedule.inplace  # loaded before processes are forked: all compare one state of the files

UNDECIDED = 0.02


def report_of(seeds: Sequence[int], grad: bool = False, cover: bool = True) -> Report:
    report = Report()
    check(grown(seeds, grad), report, fuzz_coverage.look if cover else None)
    return report


def in_child(seeds: Sequence[int], grad: bool, shrinking: bool = True) -> Report:
    """In a process of its own: what stops it stops this group only."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        try:
            report = report_of(seeds, grad)
        except BaseException as e:
            report = Report(failures=[f"seeds {list(seeds)}: {type(e).__name__}: {e}"])
        for seed, g, text in report.failed[:2] if shrinking else ():
            if not text.startswith("only together"):
                report.failures.append(shrunk(seed, g))
        with os.fdopen(writer, "wb") as out:
            pickle.dump(report, out)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as back:
        data = back.read()
    status = os.waitpid(child, 0)[1]
    if os.WIFSIGNALED(status) or not data:
        if len(seeds) > 1:
            total = Report()
            for s in seeds:
                total.add(in_child([s], grad, shrinking))
            return total
        return Report(failures=[f"seed {seeds[0]}{' --grad' if grad else ''}: stopped with status {status}"])
    return pickle.loads(data)


def groups(options: argparse.Namespace) -> Iterator[tuple[list[int], bool]]:
    for first in range(options.seed, options.seed + options.count, options.group):
        seeds = list(range(first, min(first + options.group, options.seed + options.count)))
        yield seeds, False
        if options.grad:
            yield seeds, True


Done = tuple[tuple[int, ...], bool]


def recorded(path: Path) -> dict[Done, Report]:
    """What the groups that a file tells of came to. Processes side by side may write to one file."""
    found: dict[Done, Report] = {}
    with contextlib.suppress(FileNotFoundError):
        for line in path.read_text().splitlines():
            seeds, grad, fields = json.loads(line)
            fields["coverage"] = Counter(fields["coverage"])
            found[tuple(seeds), grad] = Report(**fields)
    return found


def record(path: Path, seeds: Sequence[int], grad: bool, report: Report) -> None:
    with path.open("a") as f:
        f.write(json.dumps([list(seeds), grad, vars(report)]) + "\n")


def main() -> int:
    parser = argparse.ArgumentParser(description="random programs, compiled against interpreted")
    parser.add_argument("--seed", type=int, default=0, help="of the first program")
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--grad", action="store_true", help="programs of gradients besides")
    parser.add_argument("--group", type=int, default=16, help="programs a function")
    parser.add_argument("--text", action="store_true", help="only print the programs")
    parser.add_argument("--any-coverage", action="store_true", help="a kind that is not reached does not fail")
    parser.add_argument("--record", type=Path, help="groups in this file are not run again, but count; others go there")
    options = parser.parse_args()
    weft.config.verify, weft.config.reuse = True, False
    if options.text:
        for s in range(options.seed, options.seed + options.count):
            for p in grown([s], options.grad):
                print(p.text(), end="\n\n")
        return 0
    done = recorded(options.record) if options.record else {}
    start, total = time.time(), Report()
    for k, (seeds, grad) in enumerate(groups(options)):
        report = done.get((tuple(seeds), grad)) or in_child(seeds, grad)
        if options.record and (tuple(seeds), grad) not in done:
            record(options.record, seeds, grad, report)
        total.add(report)
        for text in report.failures:
            print(text, end="\n\n", flush=True)
        if k % 10 == 9:
            print(f"{total.programs} programs, {time.time() - start:.0f} s", file=sys.stderr, flush=True)
    text, missing = fuzz_coverage.table(total.coverage)
    print(text)
    if missing:
        print(f"not reached: {', '.join(missing)}")
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
