"""Nodes that die, stop and come back while work is under way."""

import subprocess
import time
import unittest

from cluster import SHOAL, Cluster, ClusterTest, cpu_seconds, eventually, free_port, main


class Faults(ClusterTest):
    """Each test leaves the cluster whole."""

    def setUp(self):
        self.cluster.wait_whole()

    def counts(self, job):
        return self.cluster.json("show", job)["tasks"]

    def test_a_killed_node_comes_back_to_its_shards_and_jobs(self):
        jobs = [self.cluster.submit("--", "echo", str(i)) for i in range(20)]
        for job in jobs:
            self.cluster.good("wait", job)
        owned = self.cluster.figures(1)["shards_owned"]
        self.cluster.kill(1)
        self.cluster.start(1)
        eventually(lambda: (self.cluster.figures(1) or {}).get("shards_owned") == owned,
                   "it owns its shards again")
        self.cluster.wait_whole()
        for number, job in enumerate(jobs):
            self.assertEqual(self.counts(job)["succeeded"], 1)
            self.assertEqual(self.cluster.good("logs", job), f"{number}\n")
        out = self.cluster.good("map", "--", "echo", "{}", ":::", *range(100))
        self.assertEqual(sorted(map(int, out.split())), list(range(100)))

    def test_a_client_goes_on_when_its_gateway_dies(self):
        mapping = self.cluster.popen("map", "-k", "-c", 'sleep 0.05; echo "$1"', "--", "{}", ":::",
                                     *range(120), at=[0, 1, 2])
        first = mapping.stdout.readline()
        self.assertEqual(first, b"0\n")
        self.cluster.kill(0)
        self.cluster.start(0)
        rest, errors = mapping.communicate(timeout=90)
        self.assertEqual(mapping.returncode, 0, errors)
        self.assertEqual(first + rest, b"".join(b"%d\n" % i for i in range(120)))

    def test_a_node_told_to_stop_gives_its_tasks_back_without_a_failure(self):
        job = self.cluster.submit("--array", "1-9", "--", "sleep", "2")
        name = self.cluster.name(2)

        def runs_there():
            tasks = self.cluster.json("show", "--tasks", job)["task_list"]
            return any(task["state"] == "claimed" and task["node"] == name for task in tasks)
        eventually(runs_there, f"a task runs on {name}")
        self.cluster.terminate(2)
        self.cluster.start(2)
        self.cluster.good("wait", job, timeout=90)
        tasks = self.cluster.json("show", "--tasks", job)["task_list"]
        self.assertEqual({task["state"] for task in tasks}, {"succeeded"})
        self.assertEqual({task["failures"] for task in tasks}, {0})

    def test_a_killed_nodes_tasks_run_again(self):
        job = self.cluster.submit("--array", "1-6", "--", "sleep", "3")
        eventually(lambda: (self.cluster.figures(1) or {}).get("running"), "a task runs there")
        self.cluster.kill(1)
        self.cluster.start(1)
        self.cluster.good("wait", job, timeout=90)
        tasks = self.cluster.json("show", "--tasks", job)["task_list"]
        self.assertEqual({task["state"] for task in tasks}, {"succeeded"})

    def test_nothing_is_lost_when_all_nodes_are_killed_at_once(self):
        done = [self.cluster.submit("--", "true") for _ in range(5)]
        for job in done:
            self.cluster.good("wait", job)
        job = self.cluster.submit("--array", "0-199", "--", "sleep", "0.05")
        eventually(lambda: self.counts(job)["succeeded"] >= 10, "the array is under way")
        self.cluster.kill_all()
        self.cluster.start_all()
        self.cluster.good("wait", job, timeout=90)
        self.assertEqual(self.counts(job)["succeeded"], 200)
        for one in done:
            self.assertEqual(self.counts(one)["succeeded"], 1)


class Idle(ClusterTest):
    def test_an_idle_cluster_rests(self):
        self.cluster.good("map", "--", "true", ":::", *range(50))
        time.sleep(2)
        pids = [node["pid"] for node in self.cluster.ps()]
        before = [cpu_seconds(pid) for pid in pids]
        time.sleep(3)
        used = [cpu_seconds(pid) - then for pid, then in zip(pids, before)]
        self.assertLess(max(used), 0.3, f"seconds of cpu in 3 s: {used}")


class Joining(ClusterTest):
    def test_a_node_that_joins_later_pulls_work_keeps_shards_and_stops(self):
        port = free_port()
        node = subprocess.Popen([SHOAL, "node", "--listen", f"127.0.0.1:{port}", "--join",
                                 self.cluster.nodes[0]["address"], "--name", "late", "--cpus", "1",
                                 "--data", f"{self.cluster.folder}/late"],
                                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                stderr=subprocess.DEVNULL)
        try:
            def late():
                nodes = self.cluster.json("nodes", at=0)["nodes"]
                return next((one for one in nodes if one["name"] == "late"), None)
            eventually(lambda: late() and late()["figures"], "it is a member")
            self.cluster.good("map", "-c", "sleep 0.05", "--", "{}", ":::", *range(100))
            self.assertGreater(late()["figures"]["tasks_run"], 0)
            eventually(lambda: late()["figures"]["shards_home"], "it keeps shards too")
        finally:
            node.terminate()
            node.wait(timeout=60)
        self.assertEqual(node.returncode, 0)
        eventually(lambda: late()["state"] in ("dead", "left"), "the others know that it is gone")


class ManyQueued(unittest.TestCase):
    def test_a_hundred_thousand_queued_tasks_survive_a_restart_of_all(self):
        cluster = Cluster(3)
        try:
            job = cluster.submit("--array", "0-99999", "--cpus", "900", "--", "true", timeout=120)
            cluster.kill_all()
            cluster.start_all()
            cluster.wait_whole()

            def all_there():
                return cluster.json("show", job)["tasks"]["ready"] == 100000
            eventually(all_there, "all tasks are in the queues again")
            self.assertEqual(cluster.good("run", "--", "echo", "still works"), "still works\n")
            # Work that fits is not kept waiting by work that does not.
            cluster.good("map", "--", "true", ":::", *range(50))
            cluster.good("cancel", job, timeout=120)
            cluster.run("wait", job, timeout=120)
            self.assertEqual(cluster.json("show", job)["tasks"]["cancelled"], 100000)
        except BaseException:
            print(cluster.log_tails())
            raise
        finally:
            cluster.stop()


if __name__ == "__main__":
    main()
