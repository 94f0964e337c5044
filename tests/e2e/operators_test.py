"""Operators' commands on real clusters under work: drain, leave, forget, shards and their recovery."""

import json
import os

from cluster import PATIENCE, eventually, main
from marks import MarkedWork


class Operated(MarkedWork):
    def member(self, name, at=0):
        """The row of a member, of several of one name the one that is there."""
        rows = [row for row in self.cluster.json("nodes", at=at)["nodes"] if row["name"] == name]
        rows.sort(key=lambda row: row["state"] not in ("alive", "suspect"))
        return rows[0] if rows else None

    def state(self, name, at=0):
        return self.member(name, at)["state"]

    def homes(self, at=0):
        """The names of each shard's homes."""
        return [set(row["home"]) for row in self.cluster.json("ring", at=at)["shards"]]

    def healthy(self, at=0):
        listing = self.cluster.json("shard", "ls", at=at)
        return listing["complete"] and all(row["healthy"] for row in listing["shards"])

    def refused(self, status, said, *words, at=None):
        done = self.cluster.run(*words, at=at)
        self.assertEqual(done.returncode, status, done.stderr)
        self.assertIn(said.encode(), done.stderr)
        return done


class Draining(Operated):
    def test_a_drained_node_starts_nothing_new_until_it_is_undrained(self):
        job, marks = self.array("drained", 300, 0.1)
        self.progress(job, 20)
        done = self.cluster.run("drain", "n2", at=0)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(b"n2 starts nothing new", done.stderr)
        eventually(lambda: self.member("n2")["figures"]["running"] == 0, "what ran there has ended")
        before = self.member("n2")["figures"]["tasks_run"]
        self.assertIn("draining", self.cluster.good("nodes", at=2))
        self.assertTrue(self.member("n2", at=2)["draining"])
        self.check(job, marks, 300)
        self.assertEqual(self.member("n2")["figures"]["tasks_run"], before)
        self.assertGreater(self.member("n2")["figures"]["shards_owned"], 0)
        # Through a crash too.
        self.cluster.kill(1)
        self.cluster.start(1)
        self.cluster.wait_whole()
        job, marks = self.array("still", 100, 0.02)
        self.check(job, marks, 100)
        self.assertEqual(self.member("n2")["figures"]["tasks_run"], 0)
        self.cluster.good("undrain", "n2", at=0)
        job, marks = self.array("again", 300, 0.05)
        self.check(job, marks, 300)
        self.assertGreater(self.member("n2")["figures"]["tasks_run"], 0)


class Leaving(Operated):
    nodes = 4

    def test_a_member_leaves_under_work_and_takes_nothing_with_it(self):
        job, marks = self.array("leaves", 1500, 0.02, "--cpus", "0.5")
        self.progress(job, 100)
        done = self.cluster.run("leave", "n4", at=0, timeout=4 * PATIENCE)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(b"n4 has left the cluster", done.stderr)
        self.assertIn(b"shards to move", done.stderr)
        eventually(lambda: self.cluster.pid(3) is None, "its process ends by itself")
        self.assertEqual(self.state("n4"), "left")
        self.check(job, marks, 1500)
        eventually(lambda: set(map(frozenset, self.homes())) == {frozenset({"n1", "n2", "n3"})},
                   "all know the new homes")
        eventually(self.healthy, "every shard is as it should be")
        self.refused(6, "n4 is left", "leave", "n4", at=0)

    def test_a_dead_member_is_forgotten_and_its_copies_are_made_anew(self):
        job, marks = self.array("forgotten", 1200, 0.02, "--cpus", "0.5")
        self.progress(job, 100)
        self.refused(6, "leave", "forget", "n4", at=0)
        self.cluster.kill(3)
        eventually(lambda: self.state("n4") == "dead", "the others find it dead")
        listing = self.cluster.json("shard", "ls", at=0)
        self.assertTrue(any("n4 dead" in str(row["problems"]) for row in listing["shards"]))
        done = self.cluster.run("forget", "n4", at=0)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(b"n4 is forgotten", done.stderr)
        eventually(lambda: set(map(frozenset, self.homes())) == {frozenset({"n1", "n2", "n3"})},
                   "no home names it", 2 * PATIENCE)
        eventually(self.healthy, "every shard is as it should be")
        self.check(job, marks, 1200)


class Shards(Operated):
    def test_a_healthy_clusters_shards_are_listed_and_shown(self):
        eventually(self.healthy, "every shard is as it should be")
        text = self.cluster.good("shard", "ls")
        self.assertIn("KEEPS", text)
        self.assertNotIn("TROUBLE", text)
        rows = self.cluster.good("shard", "ls", "--all").splitlines()
        self.assertEqual(len(rows), 1025)
        self.assertEqual(self.cluster.good("shard", "ls", "-q"), "")
        shown = self.cluster.json("shard", "show", 17)
        self.assertEqual((shown["shard"], shown["complete"], shown["problems"]), (17, True, []))
        self.assertEqual(sorted(copy["part"] for copy in shown["copies"]),
                         ["home 1", "home 2", "home 3"])
        self.assertEqual([copy["role"] for copy in shown["copies"]].count("owner"), 1)
        self.assertIn("promised", self.cluster.good("shard", "show", 17))
        job = self.cluster.submit("--array", "0-199", "--", "true")
        self.cluster.run("wait", job)
        of_job = self.cluster.json("shard", "show", job)
        self.assertEqual(of_job["shard"], self.cluster.json("ring", job)["shards"][0]["shard"])
        self.assertGreater(min(copy["records"] for copy in of_job["copies"]), 0)
        of_task = self.cluster.json("shard", "show", f"{job}[150]")
        self.assertGreater(max(copy["records"] for copy in of_task["copies"]), 0)

    def test_mistakes_are_answered_with_what_to_do(self):
        self.refused(3, "numbered 0 to 1023", "shard", "show", 4096)
        self.refused(3, "Did you mean n1", "drain", "n11")
        self.refused(2, "ls, show or recover", "shard")
        self.refused(2, "Did you mean recover", "shard", "recovr")
        self.refused(6, "is alive, not lost", "shard", "recover", 1, "--lost", "n2", "--yes")
        self.refused(2, "--lost", "shard", "recover", 1)
        self.refused(2, "--all-stuck", "shard", "recover", "--lost", "n2")


class Recovering(Operated):
    """Two of three nodes are destroyed: what the third holds is adopted."""

    def destroy(self, index):
        self.cluster.kill(index)
        folder = f"{self.cluster.folder}/{self.cluster.name(index)}"
        os.rename(folder, folder + ".gone")

    def job_owned_by(self, name):
        """An array whose record that node owns."""
        for _ in range(60):
            job = self.cluster.submit("--array", "0-255", "--cpus", "0.1", "--", "true")
            self.cluster.run("wait", job)
            if self.cluster.json("show", job)["owner"] == name:
                return job
        raise AssertionError(f"{name} owns none of 60 jobs")

    def check_stuck(self, job):
        """What works without a majority: local answers, and partial ones that say so."""
        stuck = self.cluster.good("shard", "ls", "-q", at=0).split()
        self.assertEqual(len(stuck), 1024)
        self.refused(4, "not reachable", "submit", "--", "true", at=0)
        local = self.cluster.json("show", job, "--consistency", "local", at=0)
        self.assertEqual((local["consistency"], local["tasks"]["succeeded"]), ("local", 256))
        done = self.cluster.run("show", "--tasks", job, "--consistency", "local", "--json", at=0)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(b"may be missing", done.stderr)
        self.assertIn(b"not confirmed", done.stderr)
        shown = json.loads(done.stdout)
        self.assertFalse(shown["complete"])
        missing = sum(last - first + 1 for gap in shown["missing"] for first, last in gap["tasks"])
        self.assertEqual(len(shown["task_list"]) + missing, 256)
        self.assertEqual(self.cluster.run("show", "--tasks", job, "--consistency", "local",
                                          "--strict", at=0).returncode, 4)

    def test_the_last_copy_is_adopted_and_the_lost_are_not_heard_again(self):
        job = self.job_owned_by("n1")
        unfinished, marks = self.array("goes-on", 400, 0.3, "--cpus", "0.1")
        self.progress(unfinished, 5)
        self.destroy(1)
        self.destroy(2)
        eventually(lambda: {self.state("n2"), self.state("n3")} == {"dead"}, "both are dead")
        self.check_stuck(job)

        command = ["shard", "recover", "--all-stuck", "--lost", "n2,n3"]
        done = self.refused(2, "--yes", *command, at=0)
        self.assertIn(b"given up", done.stderr)
        done = self.cluster.run(*command, "--yes", at=0, timeout=4 * PATIENCE)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stdout.count(b"recovered from n1"), 1024)
        self.assertEqual(self.cluster.json("shard", "show", 3, at=0)["owner"], "n1")

        tasks = self.cluster.json("show", "--tasks", job, at=0)["task_list"]
        self.assertEqual(len(tasks), 256)
        self.assertTrue(all(task["recovered"] for task in tasks))
        self.assertIn("recovered", self.cluster.good("show", f"{job}[7]", at=0))
        self.assertEqual(self.cluster.good("run", "--", "echo", "on", at=0), "on\n")
        self.cluster.run("wait", unfinished, at=0, timeout=4 * PATIENCE)
        self.assertEqual(self.cluster.json("show", unfinished, at=0)["tasks"]["succeeded"], 400)
        self.assertEqual(marks.overlaps(), [])

        self.check_return()

    def check_return(self):
        # One that comes back with its disk is told why it must not, each time.
        folder = f"{self.cluster.folder}/n3"
        os.rename(folder + ".gone", folder)
        log = f"{self.cluster.folder}/n3.log"
        for times in (1, 2):
            self.cluster.run("dev", "start", "n3", "--dir", self.cluster.folder,
                             timeout=2 * PATIENCE)
            eventually(lambda: self.cluster.pid(2) is None, "it ends")
            with open(log, encoding="utf-8", errors="replace") as file:
                self.assertEqual(file.read().count("declared this node lost for good"), times)
        self.assertEqual(self.state("n3"), "left")
        # One that comes back with nothing is a new member of an old name.
        self.cluster.start(1)
        eventually(lambda: self.member("n2")["state"] == "alive", "it is a member")
        self.assertEqual(self.cluster.good("run", "--", "echo", "on", at=1), "on\n")
        self.cluster.good("drain", "n2", at=0)  # Not the lost one of that name.
        eventually(lambda: self.member("n2")["draining"], "it drains")


if __name__ == "__main__":
    main()
