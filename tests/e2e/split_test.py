"""Hosts that are cut off from each other: nodes in network namespaces. Skipped where none can be made,
and says why."""

import time

from cluster import PATIENCE, eventually, main
from marks import MarkedWork
from namespaces import NamespaceCluster, why_not


class Split(MarkedWork):
    nodes = 5

    def setUp(self):
        reason = why_not()
        if reason:
            self.skipTest(f"no network namespaces can be made here: {reason}")
        super().setUp()

    def make_cluster(self):
        return NamespaceCluster(self.nodes)

    def test_both_sides_of_a_split_go_on_and_agree_when_it_heals(self):
        job, marks = self.array("split", 1500, 0.05, "--cpus", "0.5")
        once, once_marks = self.array("once", 300, 0.05, "--at-most-once", "--cpus", "0.5")
        self.progress(job, 50)
        self.cluster.split([0, 1])
        time.sleep(4)
        # The side of three holds the majority of some shards' homes, and the client is there.
        during = self.cluster.submit("--", "true", at=[2, 3, 4])
        self.cluster.good("wait", during, at=[2, 3, 4])
        time.sleep(8)
        self.cluster.heal([0, 1])
        self.check(job, marks, 1500)
        self.check(once, once_marks, 300, at_most_once=True)
        eventually(self.cluster.whole, "all nodes see each other again", 2 * PATIENCE)
        self.assertEqual(self.cluster.json("show", during)["tasks"]["succeeded"], 1)

    def test_a_host_that_is_cut_off_runs_nothing_twice_at_a_time(self):
        job, marks = self.array("cut", 800, 0.2, "--cpus", "0.5")
        self.progress(job, 20)
        for index in (0, 3):
            self.cluster.cut(index)
            time.sleep(10)
            self.cluster.mend(index)
            eventually(self.cluster.whole, "it is back", 2 * PATIENCE)
        self.check(job, marks, 800)


if __name__ == "__main__":
    main()
