"""Nodes that break a promise on purpose (shoal-broken): shoal-chaos must notice, and must not without."""

import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

from cluster import SHOAL, main

BIN = os.path.dirname(SHOAL)
RUN_LIMIT = 150  # Seconds; on an idle machine a run takes less than 60.

# No task is at_most_once: what such a task waits for after a fault, its long lease, is longer than
# these runs.
CLUSTER = """
chaos = 1
seed = 3
warmup = "2s"
settle = "1s"
patience = "15s"
cluster = { nodes = 3 }
"""

# What was acknowledged but not written is gone with the power.
POWER_LOSS = CLUSTER + """
duration = "8s"
load = { tasks = 1000, payload = "sleep:5ms~50ms", cpus = 0.05, at_most_once = 0 }
[[fault]]
at = "5s"
what = "kill"
scope = "host"
target = "all"
for = "1s"
"""

# Each node in turn is gone long enough to be deposed, and comes back believing itself the owner.
DEPOSED = CLUSTER + """
duration = "22s"
[load]
tasks = 3000
payload = "sleep:5ms~50ms"
cpus = 0.05
at_most_once = 0
longer = 3
longer_payload = "sleep:2s~4s"
[[fault]]
at = "3s"
what = "pause"
scope = "host"
target = "any"
for = "4s"
repeat = "every 6s"
times = 3
"""

# A node stands still for longer than its leases, and its tasks, in other processes, do not.
FROZEN = CLUSTER + """
duration = "14s"
[load]
tasks = 700
payload = "sleep:5ms~50ms"
cpus = 0.05
at_most_once = 0
longer = 10
longer_payload = "sleep:10s~12s"
[[fault]]
at = "4s"
what = "pause"
target = "any"
for = "9s"
"""


class Mutations(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="mutations-e2e-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def play(self, scenario, rule, program):
        """The names of the verdicts that failed."""
        path = self.folder / "scenario.toml"
        path.write_text(scenario)
        out = self.folder / (rule or "whole")
        environment = {**os.environ, "XDG_STATE_HOME": str(self.folder / "state"),
                       "SHOAL_BROKEN": rule}
        done = subprocess.run(
            [os.path.join(BIN, "shoal-chaos"), "run", str(path), "--shoal",
             os.path.join(BIN, program), "--dir", str(self.folder), "--out", str(out)],
            capture_output=True, text=True, env=environment, timeout=RUN_LIMIT, check=False)
        said = f"status {done.returncode}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
        self.assertIn(done.returncode, (0, 1), said)
        summary = json.loads((out / "summary.json").read_text())
        failed = [each["name"] for each in summary["verdicts"] if each["result"] == "fail"]
        self.assertEqual(done.returncode, 1 if failed else 0, said)
        return failed, said

    def judge(self, scenario, rule, verdicts):
        """The rule's loss fails one of these verdicts; a node that keeps all rules breaks no
        promise."""
        failed, said = self.play(scenario, rule, "shoal-broken")
        self.assertTrue(set(failed) & set(verdicts), f"{failed}\n{said}")
        failed, said = self.play(scenario, "", "shoal-broken")
        # A task that ends badly by itself breaks no promise.
        self.assertEqual([name for name in failed if name != "failed"], [], said)

    def test_acknowledging_before_the_disk_has_it_loses_tasks(self):
        self.judge(POWER_LOSS, "early_ack", ["lost"])

    def test_taking_a_lower_ballot_loses_what_was_acknowledged(self):
        self.judge(DEPOSED, "lower_ballot", ["lost", "outcomes", "overlaps", "fencing"])

    def test_attempts_that_outlive_their_leases_overlap(self):
        self.judge(FROZEN, "no_fence", ["overlaps"])

    def test_the_shipped_program_knows_no_such_rule(self):
        self.assertNotIn(b"SHOAL_BROKEN", pathlib.Path(SHOAL).read_bytes())
        self.assertIn(b"SHOAL_BROKEN", pathlib.Path(BIN, "shoal-broken").read_bytes())


if __name__ == "__main__":
    main()
