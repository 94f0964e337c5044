"""Arrays of tasks that leave marks, and what must be true of the marks.

Every attempt appends "S index attempt" to a file opened for append when it begins and "E index
attempt" when it ends, so the file is the outside world's account: what ran, how often, in which
order.
"""

import collections
import pathlib
import sys
import unittest

from cluster import PATIENCE, Cluster, eventually

MARK = ('printf "S %s %s\\n" "$SHOAL_TASK_INDEX" "$SHOAL_ATTEMPT" >>"$1"; sleep "$2"; '
        'printf "E %s %s\\n" "$SHOAL_TASK_INDEX" "$SHOAL_ATTEMPT" >>"$1"')


ENDS = ("succeeded", "failed", "cancelled", "lost")


class Marks:
    """What the tasks of one array wrote."""

    def __init__(self, cluster, name):
        self.path = pathlib.Path(cluster.folder) / f"marks-{name}"
        self.path.touch()

    def command(self, seconds):
        return ["-c", MARK, "--", str(self.path), str(seconds)]

    def starts(self):
        """Task index -> the attempts that began, in order."""
        begun = collections.defaultdict(list)
        for kind, index, attempt in self.lines():
            if kind == "S":
                begun[index].append(attempt)
        return begun

    def lines(self):
        for line in self.path.read_text().splitlines():
            kind, index, attempt = line.split()
            yield kind, int(index), int(attempt)

    def overlaps(self):
        """Tasks of which an attempt was still at work after a later one had begun."""
        newest = {}
        bad = []
        for kind, index, attempt in self.lines():
            if kind == "S":
                if attempt <= newest.get(index, 0):
                    bad.append((index, attempt))
                newest[index] = max(attempt, newest.get(index, 0))
            elif attempt < newest.get(index, 0):
                bad.append((index, attempt))
        return bad


class MarkedWork(unittest.TestCase):
    """A cluster of its own for each test."""

    nodes = 3

    def make_cluster(self):
        return Cluster(self.nodes)

    def setUp(self):
        self.shown = {}  # By job: outcomes as they were shown on the way.
        self.cluster = self.make_cluster()
        self.addCleanup(self.cluster.stop)
        self.cluster.wait_whole()

    def run(self, result=None):
        result = result or self.defaultTestResult()
        self.before = len(result.failures) + len(result.errors)
        self.result = result
        return super().run(result)

    def tearDown(self):
        if len(self.result.failures) + len(self.result.errors) > self.before:
            print(f"=== {self.id()} failed\n{self.cluster.log_tails()}", file=sys.stderr)

    def array(self, name, count, seconds, *options):
        marks = Marks(self.cluster, name)
        job = self.cluster.submit("--array", f"0-{count - 1}", *options, *marks.command(seconds),
                                  timeout=2 * PATIENCE)
        return job, marks

    def counts(self, job):
        return self.cluster.json("show", job)["tasks"]

    def ended(self, job):
        counts = self.counts(job)
        return sum(counts[state] for state in ENDS)

    def tasks(self, job):
        return self.cluster.json("show", "--tasks", job)["task_list"]

    @staticmethod
    def outcomes(tasks):
        """Task index -> its outcome and the attempt that had it, of those that ended."""
        return {task["index"]: (task["state"], task["attempt"]) for task in tasks
                if task["state"] in ENDS}

    def progress(self, job, more):
        """Waits until so many more have ended. The outcomes shown then must be the last ones."""
        before = self.ended(job)
        eventually(lambda: self.ended(job) >= before + more, f"{more} more tasks end")
        self.shown.setdefault(job, []).append(self.outcomes(self.tasks(job)))

    def check(self, job, marks, count, at_most_once=False):
        """Each task has exactly one outcome, and the marks agree with it."""
        self.cluster.run("wait", job, timeout=4 * PATIENCE)
        counts = self.counts(job)
        good = counts["succeeded"] + (counts["lost"] if at_most_once else 0)
        self.assertEqual((good, counts["total"]), (count, count), counts)
        tasks = self.tasks(job)
        starts = marks.starts()
        self.assertEqual(len(tasks), count)
        for task in tasks:
            begun = starts[task["index"]]
            if task["state"] == "succeeded":
                self.assertIn(task["attempt"], begun, task)
            if at_most_once:
                self.assertLessEqual(len(begun), 1, task)
        last = self.outcomes(tasks)
        for shown in self.shown.get(job, []):
            self.assertLessEqual(shown.items(), last.items(), "an outcome changed")
        self.assertEqual(marks.overlaps(), [])
        return sum(len(begun) for begun in starts.values()) - len(starts)
