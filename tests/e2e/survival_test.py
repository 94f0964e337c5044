"""Nodes that are killed, frozen, drained and full while thousands of tasks leave their marks."""

import os
import pathlib
import signal
import subprocess
import tempfile
import time
import unittest

from cluster import PATIENCE, SHOAL, eventually, free_port, main, supervisors_of
from marks import MarkedWork, Marks


class Folder:
    """A folder, where a cluster would be."""

    def __init__(self, folder):
        self.folder = folder


class TheMarks(unittest.TestCase):
    def test_overlaps_are_seen(self):
        with tempfile.TemporaryDirectory() as folder:
            marks = Marks(Folder(folder), "marks")
            for text, bad in (("S 3 1\nE 3 1\nS 3 2\nE 3 2\n", []),
                              ("S 3 1\nS 3 2\nE 3 2\n", []),  # The first was killed.
                              ("S 3 1\nS 3 2\nE 3 1\n", [(3, 1)]),
                              ("S 3 2\nS 3 1\n", [(3, 1)]),
                              ("S 3 1\nS 3 1\n", [(3, 1)])):
                marks.path.write_text(text)
                self.assertEqual(marks.overlaps(), bad, text)


class Survival(MarkedWork):
    def test_nodes_killed_in_turn_lose_nothing(self):
        job, marks = self.array("turn", 2500, 0.02, "--cpus", "0.5")
        once, once_marks = self.array("once", 500, 0.02, "--at-most-once", "--cpus", "0.5")
        for index in range(self.nodes):
            self.progress(job, 150)
            self.cluster.kill(index)
            time.sleep(1)
            self.cluster.start(index)
        self.check(job, marks, 2500)
        self.check(once, once_marks, 500, at_most_once=True)
        self.cluster.wait_whole()

    def test_a_killed_node_finds_its_running_tasks_again(self):
        job, marks = self.array("again", 6, 8)
        eventually(lambda: len(marks.starts()) >= 3, "tasks run on the nodes")
        for index in range(self.nodes):
            self.cluster.kill(index)
            self.cluster.start(index)
            time.sleep(0.5)
        repeated = self.check(job, marks, 6)
        self.assertEqual(repeated, 0, "no attempt was repeated")

    def test_a_frozen_node_overlaps_with_nobody(self):
        job, marks = self.array("frozen", 1200, 0.1, "--cpus", "0.25")
        self.progress(job, 50)
        pid = self.cluster.pid(1)
        os.kill(pid, signal.SIGSTOP)
        time.sleep(9)
        os.kill(pid, signal.SIGCONT)
        self.check(job, marks, 1200)
        self.cluster.wait_whole()

    def test_all_killed_at_once_come_back_with_everything(self):
        job, marks = self.array("all", 2000, 0.02, "--cpus", "0.5")
        once, once_marks = self.array("once", 300, 0.02, "--at-most-once", "--cpus", "0.5")
        self.progress(job, 200)
        self.cluster.kill_all()
        self.cluster.start_all()
        self.check(job, marks, 2000)
        self.check(once, once_marks, 300, at_most_once=True)

    def test_dead_supervisors_take_their_tasks_with_them(self):
        job, marks = self.array("host", 400, 0.5, "--cpus", "0.25")
        self.progress(job, 10)
        supervisors = supervisors_of(self.cluster.pid(2))
        self.cluster.kill(2)
        for pid in supervisors:
            os.kill(pid, signal.SIGKILL)
        self.check(job, marks, 400)
        self.cluster.start(2)
        self.cluster.wait_whole()


class Coming(MarkedWork):
    """Members that come and go for good."""

    def node(self, name, *options):
        port = free_port()
        data = f"{self.cluster.folder}/{name}"
        process = subprocess.Popen(
            [SHOAL, "node", "--listen", f"127.0.0.1:{port}", "--join",
             self.cluster.nodes[0]["address"], "--name", name, "--cpus", "1", "--data", data,
             "--end-tasks", *map(str, options)],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=open(f"{self.cluster.folder}/{name}.log", "w", encoding="utf-8"))
        self.addCleanup(lambda: (process.kill(), process.wait()))
        return process, f"127.0.0.1:{port}"

    def figures_of(self, name):
        nodes = self.cluster.json("nodes")["nodes"]
        found = next((node for node in nodes if node["name"] == name), None)
        return found and found["figures"]

    def homes(self):
        return [len(row["home"]) for row in self.cluster.json("ring")["shards"]]

    def test_members_join_and_leave_under_load(self):
        job, marks = self.array("moves", 2500, 0.02, "--cpus", "0.5")
        process, address = self.node("late")
        eventually(lambda: (self.figures_of("late") or {}).get("shards_home"),
                   "the newcomer is a home of shards", 2 * PATIENCE)
        self.progress(job, 50)
        done = subprocess.run([SHOAL, "leave"], env={**os.environ, "SHOAL_ADDR": address},
                              capture_output=True, timeout=3 * PATIENCE, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(process.wait(timeout=PATIENCE), 0)
        self.check(job, marks, 2500)
        self.assertEqual(set(self.homes()), {3})
        self.cluster.wait_whole()

    def test_a_full_disk_stops_work_there_and_nowhere_else(self):
        if os.geteuid() != 0:
            self.fail("this test mounts a small file system: run it as root")
        folder = f"{self.cluster.folder}/small"
        os.mkdir(folder)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=96m", "tmpfs", folder], check=True)
        self.addCleanup(lambda: subprocess.run(["umount", "-l", folder], check=False))
        process, _ = self.node("small", "--disk-reserve", "32MiB")
        eventually(lambda: (self.figures_of("small") or {}).get("shards_home"),
                   "it is a home of shards", 2 * PATIENCE)
        filler = f"{folder}/filler"
        space = os.statvfs(folder)
        with open(filler, "wb") as file:
            os.posix_fallocate(file.fileno(), 0, space.f_bavail * space.f_bsize - (20 << 20))
        log = pathlib.Path(f"{self.cluster.folder}/small.log")
        eventually(lambda: "reserve" in log.read_text(), "the node says so")
        time.sleep(2)
        before = self.figures_of("small")["tasks_run"]
        job, marks = self.array("full", 600, 0.02)
        self.check(job, marks, 600)
        self.assertEqual(self.figures_of("small")["tasks_run"], before)
        self.assertIsNone(process.poll())
        os.remove(filler)
        job, marks = self.array("room", 600, 0.02)
        self.check(job, marks, 600)
        eventually(lambda: self.figures_of("small")["tasks_run"] > before or
                   not self.array("more", 200, 0.02), "it works again")


if __name__ == "__main__":
    main()
