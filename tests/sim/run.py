"""`python -m tests.sim.run`: many seeds, one seed, or one seed made smaller.

    --seeds N --from K   seeds K .. K+N-1, on --jobs processes
    --seed X             one seed; its story when it fails
    --only a,b --steps N the plan of the seed with fewer kinds of faults, or a shorter run
"""

import argparse
import multiprocessing
import sys
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

from tests.sim.faults import KINDS, Plan
from tests.sim.story import Violation
from tests.sim.world import World


@dataclass(frozen=True)
class Result:
    """`rule` empty: the run held. `told`: its story."""

    plan: Plan
    digest: str
    steps: int
    rule: str = ""
    detail: str = ""
    told: str = ""
    faults: tuple[tuple[str, int], ...] = ()


def play(plan: Plan, kind: type[World] = World) -> Result:
    """One run."""
    world = kind(plan)
    rule = detail = trace = ""
    try:
        world.run()
    except Violation as error:
        rule, detail = error.rule, error.detail
        if error.__cause__ is not None:
            trace = "".join(traceback.format_exception(error.__cause__)[-8:])
        world.story.say(f"VIOLATION {rule}: {detail}")
    story = world.story
    counts = Counter(line.split("s  ", 1)[1].partition(":")[0] for line in story.faults)
    told = "\n".join([*story.lines, trace]) if rule else ""
    return Result(
        plan, story.digest(), story.step, rule, detail, told, tuple(sorted(counts.items()))
    )


def shrunk(result: Result, kind: type[World] = World) -> Result:
    """The same rule broken by fewer kinds of faults and in a shorter run, as far as greed goes."""
    best = result
    for name in result.plan.kinds:
        kinds = tuple(one for one in best.plan.kinds if one != name)
        tried = play(replace(best.plan, kinds=kinds), kind)
        best = tried if tried.rule == result.rule else best
    steps = best.plan.steps // 2
    while steps >= 10:
        tried = play(replace(best.plan, steps=steps), kind)
        if tried.rule == result.rule:
            best, steps = tried, steps // 2
        else:
            steps += (best.plan.steps - steps) // 2
            if best.plan.steps - steps < 10:
                break
    return best


def story(result: Result) -> str:
    """What a person reads of a run that failed."""
    plan = result.plan
    command = f"python -m tests.sim.run --seed {plan.seed} --steps {plan.steps}"
    command += f" --only {','.join(plan.kinds) or 'none'} --level {plan.level}"
    return "\n".join([
        f"seed {plan.seed}: {result.rule}", f"  {result.detail}",
        f"  level {plan.level}, disturbed for {plan.steps} steps by"
        f" {', '.join(plan.kinds) or 'nothing'}", "the last steps:", result.told,
        f"again: {command}",
    ])


def sweep(first: int, count: int, jobs: int) -> Iterator[Result]:
    """Results of many seeds, in no order."""
    plans = map(Plan.draw, range(first, first + count))
    if jobs <= 1:
        yield from map(play, plans)
        return
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        yield from pool.imap_unordered(play, plans, chunksize=20)


def _plan(args: argparse.Namespace) -> Plan:
    plan = Plan.draw(args.seed)
    if args.only:
        wanted = set(args.only.split(","))
        plan = replace(plan, kinds=tuple(kind for kind in KINDS if kind in wanted))
    return replace(plan, steps=args.steps or plan.steps, level=args.level or plan.level)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="tests.sim.run", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1000)
    parser.add_argument("--from", dest="first", type=int, default=0)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--only", default="")
    parser.add_argument("--steps", type=int, default=0)
    parser.add_argument("--level", default="")
    parser.add_argument("--failures", type=int, default=5, help="stop after so many")
    args = parser.parse_args(argv)
    if args.seed is not None:
        return _one(_plan(args))
    return _many(args)


def _one(plan: Plan) -> int:
    result = play(plan)
    if not result.rule:
        print(f"seed {plan.seed} holds: {result.steps} steps, digest {result.digest}")
        return 0
    print(story(result))
    return 1


def _many(args: argparse.Namespace) -> int:
    began, failed, steps, done = time.monotonic(), [], 0, 0
    faults: Counter[str] = Counter()
    for result in sweep(args.first, args.seeds, args.jobs):
        done += 1
        steps += result.steps
        faults.update(dict(result.faults))
        if result.rule:
            failed.append(result)
            print(f"seed {result.plan.seed} fails: {result.rule}: {result.detail}", flush=True)
            if len(failed) >= args.failures:
                break
        if done % 1000 == 0:
            print(f"{done} seeds, {time.monotonic() - began:.0f} s", flush=True)
    took_s = time.monotonic() - began
    print(f"{done} seeds, {steps} steps, {sum(faults.values())} faults in {took_s:.0f} s:"
          f" {len(failed)} failed")
    print(", ".join(f"{kind} {n}" for kind, n in sorted(faults.items())))
    if failed:
        print(story(shrunk(min(failed, key=lambda one: one.steps))))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
