#!/usr/bin/env python3
"""model_test.py [--keep FOLDER] NAME...: checks shard.pml with Spin, or lists what it knows.

A configuration must be searched to its end without an error. A mutation, a rule switched off, must
end in a violated assertion. --keep leaves the verifier and its trail in FOLDER.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time

MODEL = os.path.join(os.path.dirname(os.path.abspath(__file__)), "shard.pml")
MEGABYTES = 6000  # Of one search: two of them run at a time.
DEPTH = 100_000

TAKEOVER = {"BALLOTS": 3, "NODES": 3, "FIRST": 1}
CHANGE = {"CHANGES": 1, "BALLOTS": 2}
GROW = CHANGE | {"NODES": 3, "H0": 0b001, "H1": 0b111}
SHRINK = CHANGE | {"NODES": 3, "H0": 0b111, "H1": 0b100, "FIRST": 0b101}
MOVE = CHANGE | {"NODES": 4, "H0": 0b0111, "H1": 0b1000, "FIRST": 1}
EXCHANGE = CHANGE | {"NODES": 4, "H0": 0b0111, "H1": 0b1110, "FIRST": 0b0011}
RETURN = {"CHANGES": 2, "BALLOTS": 2, "NODES": 2, "H0": 0b11, "H1": 0b01, "H2": 0b10}
BACK = {"CHANGES": 2, "BALLOTS": 2, "NODES": 3, "H0": 0b111, "H1": 0b001, "H2": 0b111}

CONFIGURATIONS = {
    "takeover_crashes": TAKEOVER | {"DISKS": 1},
    "takeover_four_ballots": TAKEOVER | {"BALLOTS": 4},
    "takeover_two_writes": TAKEOVER | {"WRITES": 2},
    "grow": GROW | {"BALLOTS": 3},
    "shrink": SHRINK,
    "move": MOVE,
    "exchange": EXCHANGE,
    "return": RETURN,
    "back": BACK,
}

CRASHES = TAKEOVER | {"DISKS": 1}
MUTATIONS = {
    "count_own_unsynced": CRASHES | {"BALLOTS": 2},
    "acks_unsynced": CRASHES | {"BALLOTS": 2},
    "promises_unsynced": CRASHES,
    "no_promise_check": TAKEOVER,
    "no_promise_raise": TAKEOVER,
    "no_record_order": TAKEOVER,
    "own_promise_left_out": CRASHES,
    "one_promise_enough": TAKEOVER,
    "own_copy_only": TAKEOVER,
    "merge_by_version_only": TAKEOVER,
    "unsettled_as_settled": TAKEOVER,
    "skip_confirm": TAKEOVER,
    "no_joint": MOVE,
    "joint_counts_old_only": MOVE,
    "joint_counts_new_only": MOVE,
    "joint_commits_old_only": EXCHANGE,
    "final_unsettled+no_learners": MOVE,
    "ignore_newer_config+no_config_check": MOVE,
    "stub_forgets": MOVE,
    "own_copy_always": EXCHANGE,
    "count_old_acks": RETURN,
    "retire_any": RETURN,
    "show_unsettled": TAKEOVER,
    "show_uncommitted": TAKEOVER,
    "resume_ballot_after_restart": CRASHES|{"BALLOTS":2},
    "same_identity": TAKEOVER,
    "homes_repair": TAKEOVER|{"BALLOTS":4},
}


class Failed(Exception):
    """A search that did not end as it must."""


def run(command, folder, seconds=280):
    start = time.monotonic()
    try:
        done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, timeout=seconds, check=False)
    except FileNotFoundError as error:
        raise Failed(f"{command[0]} is not installed: run tools/setup") from error
    except subprocess.TimeoutExpired as error:
        raise Failed(f"{command[0]} took more than {seconds} s") from error
    return done.returncode, done.stdout, time.monotonic() - start


def search(defines, folder, optimise):
    flags = [f"-D{name}={value}" for name, value in sorted(defines.items())]
    code, output, _ = run(["spin", "-a", *flags, MODEL], folder)
    if code != 0 or "Error" in output:
        raise Failed(f"spin refused the model:\n{output}")
    code, output, compiled = run(["gcc", optimise, "-w", "-DSAFETY", "-DNOREDUCE", "-DVECTORSZ=512",
                                  f"-DMEMLIM={MEGABYTES}", "-o", "pan", "pan.c"], folder)
    if code != 0:
        raise Failed(f"gcc refused the verifier:\n{output}")
    _, output, seconds = run(["./pan", f"-m{DEPTH}", "-w25", "-E", "-n"], folder)
    return output, compiled, seconds


def main():
    name = sys.argv[1]
    base, d = (CONFIGURATIONS.get(name), {}) if name in CONFIGURATIONS else (MUTATIONS[name], {m.upper(): 1 for m in name.split("+")})
    for e in sys.argv[2:]:
        k, v = e.split("="); base = base | {k: int(v)}
    folder = "/var/tmp/m1/" + name
    os.makedirs(folder, exist_ok=True)
    out, c, s = search(base | d, folder, "-O1" if name in CONFIGURATIONS else "-O0")
    e = re.search(r"errors: (\d+)", out)[1]
    st = re.search(r"(\S+) states, stored", out)[1]
    print(f"{name:40} errors {e} states {st} gcc {c:.1f} pan {s:.1f}", re.search(r"assertion violated(.{0,30})", out) and "assert" , "no trunc" if "max search depth too small" not in out and "out of memory" not in out else "TRUNC")

if __name__ == "__main__":
    main()
