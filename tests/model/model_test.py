#!/usr/bin/env python3
"""model_test.py [--jobs N] [NAME...]: searches shard.pml with Spin; all there is, or these.

A configuration must be searched to its end without an error. A mutation, a rule switched off, must
end in a violated assertion, and so must a mark, whose assertion says only that a path is never
taken.
"""

import argparse
import concurrent.futures
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time

MODEL = os.path.join(os.path.dirname(os.path.abspath(__file__)), "shard.pml")
TOOLS = ["spin", "clang-19"]
PREPROCESSOR = "-Pclang-19 -E -x c"  # Spin's own choice is gcc.
MEGABYTES = 2900  # Of one search: two of them stay below 6 GB.
SECONDS = 500

TAKEOVER = {"BALLOTS": 3, "NODES": 3, "FIRST": 0b001}
CRASHES = TAKEOVER | {"DISKS": 1}
CHANGE = {"CHANGES": 1, "BALLOTS": 2}
GROW = CHANGE | {"NODES": 3, "HOME0": 0b001, "HOME1": 0b111}
SHRINK = CHANGE | {"NODES": 3, "HOME0": 0b111, "HOME1": 0b100, "FIRST": 0b101}
MOVE = CHANGE | {"NODES": 4, "HOME0": 0b0111, "HOME1": 0b1000, "FIRST": 0b0001}
EXCHANGE = CHANGE | {"NODES": 4, "HOME0": 0b0111, "HOME1": 0b1110, "FIRST": 0b0011}
CHANGE_TWICE = {"CHANGES": 2, "BALLOTS": 2}
RETURN = CHANGE_TWICE | {"NODES": 2, "HOME0": 0b11, "HOME1": 0b01, "HOME2": 0b10}
BACK = CHANGE_TWICE | {"NODES": 3, "HOME0": 0b111, "HOME1": 0b001, "HOME2": 0b111}

# The longest first.
CONFIGURATIONS = {
    "takeover_crashes": CRASHES,
    "grow": GROW | {"BALLOTS": 3},
    "exchange": EXCHANGE,
    "move": MOVE,
    "back": BACK,
    "takeover_four_ballots": TAKEOVER | {"BALLOTS": 4},
    "takeover_two_writes": TAKEOVER | {"WRITES": 2},
    "shrink": SHRINK,
    "return": RETURN | {"BALLOTS": 3},
}

MUTATIONS = {
    "count_own_unsynced": CRASHES | {"BALLOTS": 2},
    "acks_unsynced": CRASHES | {"BALLOTS": 2},
    "promises_unsynced": CRASHES,
    "own_promise_left_out": CRASHES,
    "resume_ballot_after_restart": CRASHES | {"BALLOTS": 2},
    "no_promise_check": TAKEOVER,
    "no_promise_raise": TAKEOVER,
    "no_record_order": TAKEOVER,
    "one_promise_enough": TAKEOVER,
    "own_copy_only": TAKEOVER,
    "merge_by_version_only": TAKEOVER,
    "unsettled_as_settled": TAKEOVER,
    "show_unsettled": TAKEOVER,
    "show_uncommitted": TAKEOVER,
    "skip_confirm": TAKEOVER,
    "same_identity": TAKEOVER,
    "homes_repair": TAKEOVER | {"BALLOTS": 4},
    "no_joint": MOVE,
    "joint_counts_old_only": MOVE,
    "joint_counts_new_only": MOVE,
    "joint_commits_old_only": EXCHANGE,
    "final_unsettled+no_learners": MOVE,
    "ignore_newer_config+no_config_check": MOVE,
    "stub_forgets": MOVE,
    "own_copy_always": EXCHANGE | {"FIRST": 0b0010},
    "count_old_acks": RETURN,
    "retire_any": RETURN,
}

MARKS = {
    "last_ballot_commits": TAKEOVER,
    "leftover_met": TAKEOVER,
    "unsettled_found": TAKEOVER,
    "owner_crashed": CRASHES,
    "takeover_in_joint": EXCHANGE,
    "takeover_with_learners": EXCHANGE,
    "final_by_heir": EXCHANGE,
    "newer_config_heard": EXCHANGE,
    "owner_left": MOVE,
    "leaver_is_back": RETURN,
}

EXHAUSTIVE_DEPTH = 100_000
SHORT_DEPTHS = [22, 30]  # What a switched-off rule allows is a short story: tried in turn.


class Failed(Exception):
    """A search that did not end as it must."""


def run(command, folder):
    start = time.monotonic()
    try:
        done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise Failed(f"{command[0]} took more than {SECONDS} s") from error
    return done.returncode, done.stdout, time.monotonic() - start


def brief(output):
    """The conditions that Spin prints are macros written out: pages of them."""
    return "\n".join(line[:120] for line in output.splitlines())


class Search:
    """One verifier: generated, compiled, run."""

    def __init__(self, name):
        self.name = name
        self.exhaustive = name in CONFIGURATIONS
        self.mark = name in MARKS
        if self.exhaustive:
            self.defines = CONFIGURATIONS[name]
        elif self.mark:
            self.defines = MARKS[name] | {"REACH": name.upper()}
        else:
            self.defines = MUTATIONS[name] | {rule.upper(): 1 for rule in name.split("+")}

    def run(self):
        with tempfile.TemporaryDirectory(prefix="shoal-model-") as folder:
            self.output, self.compiled, self.searched = self.verify(folder)
        self.judge()
        return self

    def verify(self, folder):
        flags = [f"-D{name}={value}" for name, value in sorted(self.defines.items())]
        code, output, _ = run(["spin", PREPROCESSOR, "-a", *flags, MODEL], folder)
        if code != 0 or "rror" in output:
            raise Failed(f"{self.name}: spin refused the model:\n{output}")
        command = ["clang-19", "-O1" if self.exhaustive else "-O0", "-w", "-DSAFETY", "-DNOREDUCE",
                   "-DVECTORSZ=512", f"-DMEMLIM={MEGABYTES}", "-o", "pan", "pan.c"]
        code, output, compiled = run(command, folder)
        if code != 0:
            raise Failed(f"{self.name}: clang-19 refused the verifier:\n{output}")
        start = time.monotonic()
        table = 25 if self.exhaustive else 22
        for depth in [EXHAUSTIVE_DEPTH] if self.exhaustive else SHORT_DEPTHS:
            _, output, _ = run(["./pan", f"-m{depth}", f"-w{table}", "-E", "-n"], folder)
            if "assertion violated" in output:
                break
        if self.exhaustive and "assertion violated" in output:
            trail = ["-k", "shard.pml.trail", "-t"]
            _, story, _ = run(["spin", PREPROCESSOR, *trail, *flags, MODEL], folder)
            output = story.split("trail ends")[0] + output
        return output, compiled, time.monotonic() - start

    def judge(self):
        violated = "assertion violated" in self.output
        marked = re.search(r"assertion violated \(+(\d+)!=\1\)", self.output) is not None
        if self.exhaustive:
            bad = re.search("depth too small|out of memory|max. memory|not completed", self.output)
            if bad or "errors: 0" not in self.output:
                raise Failed(f"{self.name}: not searched to its end, or an error:\n"
                             + brief(self.output))
        elif not violated or marked != self.mark:
            what = "the marked path was not taken" if self.mark else "the mutation was not caught"
            raise Failed(f"{self.name}: {what}:\n{brief(self.output)}")

    def figure(self, pattern):
        found = re.search(pattern, self.output)
        return float(found[1]) if found else 0.0

    def line(self):
        states = int(self.figure(r"([\d.e+]+) states, stored"))
        depth = int(self.figure(r"depth reached (\d+)"))
        memory = self.figure(r"([\d.]+)\s+total actual memory usage")
        end = "no error" if self.exhaustive else "reached" if self.mark else "violated, as it must"
        return (f"{self.name:36} {states:10,d} states, depth {depth:3d}, {memory:5.0f} MB,"
                f" compiled in {self.compiled:4.1f} s, searched in {self.searched:5.1f} s: {end}")


def arguments():
    names = [*CONFIGURATIONS, *MUTATIONS, *MARKS]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=2, help="searches at a time")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(names))
    chosen = parser.parse_args()
    for name in chosen.names:
        if name not in names:
            parser.error(f"there is no search '{name}'; there are {', '.join(names)}")
    return chosen.jobs, chosen.names or names


def main():
    jobs, names = arguments()
    for tool in TOOLS:
        if shutil.which(tool) is None:
            print(f"model_test.py: {tool} is not installed. Run tools/setup (it installs Debian's"
                  f" {tool}), then run this test again.")
            return 1
    start = time.monotonic()
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(max_workers=jobs) as pool:
        for search in [pool.submit(Search(name).run) for name in names]:
            try:
                print(search.result().line(), flush=True)
            except Failed as failure:
                print(failure, flush=True)
                failed += 1
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    seconds = time.monotonic() - start
    print(f"{len(names)} searches, {failed} failed, {jobs} at a time: {seconds:.0f} s; the largest"
          f" took {peak:.0f} MB")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
