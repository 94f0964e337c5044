"""Data folders that are damaged, full, lost, rolled back or copied (rule F2, design section 7)."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

from cluster import LOG_LINES, PATIENCE, SHOAL, eventually, free_port, shoal

STORE_TOOL = os.path.join(os.path.dirname(SHOAL), "store_tool")
EXIT_DISK = 74
EXIT_IDENTITY = 78


class Nodes:
    """Node processes that the test starts by itself, to see how they end."""

    def __init__(self, count):
        self.folder = tempfile.mkdtemp(prefix="shoal-e2e-")
        self.ports = [free_port() for _ in range(count)]
        self.processes = [None] * count
        self.count = count

    def data(self, index):
        return pathlib.Path(self.folder) / f"n{index}"

    def database(self, index):
        return self.data(index) / "db"

    def address(self, index):
        return f"127.0.0.1:{self.ports[index]}"

    def log(self, index):
        path = pathlib.Path(self.folder) / f"n{index}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def add(self):
        """A further node, that is not started."""
        self.ports.append(free_port())
        self.processes.append(None)
        return len(self.ports) - 1

    def start(self, index, *options):
        """Returns at once; what the node says is appended to its log."""
        joins = []
        for other in range(self.count):
            if other != index:
                joins += ["--join", self.address(other)]
        found = ["--expect", str(self.count)] if index < self.count else []
        with open(f"{self.folder}/n{index}.log", "ab") as log:
            self.processes[index] = subprocess.Popen(
                [SHOAL, "node", "--listen", self.address(index), "--name", f"n{index}", "--data",
                 str(self.data(index)), "--cpus", "2", *found, *joins, *map(str, options)],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log)

    def start_all(self, *options):
        for index in range(self.count):
            self.start(index, *options)
        self.wait_serving()

    def kill(self, index):
        self.processes[index].kill()
        self.processes[index].wait()

    def stop(self, index):
        self.processes[index].send_signal(signal.SIGTERM)
        self.processes[index].wait(timeout=PATIENCE)

    def status(self, index):
        """How the node ended by itself."""
        return self.processes[index].wait(timeout=PATIENCE)

    def lives(self, index):
        return self.processes[index] is not None and self.processes[index].poll() is None

    def run(self, *words, at=None, timeout=PATIENCE):
        indices = range(self.count) if at is None else [at]
        return shoal(*words, env={"SHOAL_ADDR": ",".join(map(self.address, indices))},
                     timeout=timeout)

    def good(self, *words, **options):
        done = self.run(*words, **options)
        if done.returncode != 0:
            raise AssertionError(f"shoal {words}: status {done.returncode}: {done.stderr[-2000:]}")
        return done.stdout.decode()

    def json(self, *words, **options):
        return json.loads(self.good(*words, "--json", **options))

    def identity(self, index):
        """As the data folder has it, or None."""
        path = self.data(index) / "node.id"
        return path.read_text().strip() if path.exists() else None

    def is_member(self, identity, at=0):
        return any(node["node"] == identity and node["state"] == "alive"
                   for node in self.json("nodes", at=at)["nodes"])

    def wait_serving(self, at=0, patience=PATIENCE):
        def serving():
            done = self.run("nodes", "--json", at=at)
            if done.returncode != 0:
                return False
            view = json.loads(done.stdout)
            alive = [node for node in view["nodes"] if node["state"] == "alive" and node["figures"]]
            owned = sum(node["figures"]["shards_owned"] for node in alive)
            return view["serving"] and owned == view["shard_count"]
        eventually(serving, f"{self.address(at)} serves and all shards have owners", patience)

    def work(self, count=20, **options):
        """A job of so many tasks that have ended."""
        job = self.good("submit", "-q", "--array", f"0-{count - 1}", "--", "true",
                        **options).strip()
        self.good("wait", job, **options)
        return job

    def succeeded(self, job, **options):
        return self.json("show", job, **options)["tasks"]["succeeded"]

    def records(self, index):
        """Of a node that does not run: (shard, high, low) -> (version, intact, round)."""
        done = subprocess.run([STORE_TOOL, "list", self.database(index)], capture_output=True,
                              check=True)
        found = {}
        for line in done.stdout.decode().splitlines():
            shard, high, low, version, state, ballot_round = line.split()
            found[shard, high, low] = int(version), state == "good", int(ballot_round)
        return found

    def damage(self, index, record):
        subprocess.run([STORE_TOOL, "damage", self.database(index), *record], check=True)

    def end(self):
        for index, process in enumerate(self.processes):
            if self.lives(index):
                process.terminate()
        for process in self.processes:
            if process is None:
                continue
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def log_tails(self):
        return "".join(f"--- the end of n{index}'s log\n" +
                       "\n".join(self.log(index).splitlines()[-LOG_LINES:]) + "\n"
                       for index in range(len(self.ports)))


class DiskTest(unittest.TestCase):
    """Each test has nodes of its own."""

    def make(self, count):
        self.nodes = Nodes(count)
        self.addCleanup(self.nodes.end)
        return self.nodes

    def run(self, result=None):
        result = result or self.defaultTestResult()
        self.result = result
        self.before = len(result.failures) + len(result.errors)
        return super().run(result)

    def tearDown(self):
        if len(self.result.failures) + len(self.result.errors) > self.before:
            print(f"=== {self.id()} failed\n{self.nodes.log_tails()}", file=sys.stderr)


class Identity(DiskTest):
    def check_refused(self, index, *words):
        self.assertEqual(self.nodes.status(index), EXIT_IDENTITY)
        for word in words:
            self.assertIn(word, self.nodes.log(index))

    def test_a_restart_is_not_slower_and_raises_no_alarm(self):
        nodes = self.make(3)
        nodes.start_all()
        job = nodes.work(50)
        for index in [0, 1, 2, 0, 1, 2]:
            nodes.kill(index)
            nodes.start(index)
        nodes.wait_serving()
        for index in range(3):
            nodes.kill(index)
        for index in range(3):
            nodes.start(index)
        nodes.wait_serving(at=2)
        self.assertEqual(nodes.succeeded(job), 50)
        self.assertTrue(all(map(nodes.lives, range(3))))

    def test_a_wiped_folder_is_a_new_node(self):
        nodes = self.make(3)
        nodes.start_all()
        job = nodes.work()
        former = nodes.identity(2)
        nodes.kill(2)
        shutil.rmtree(nodes.data(2))
        nodes.start(2)
        eventually(lambda: nodes.is_member(nodes.identity(2)), "the new node is a member")
        self.assertNotEqual(nodes.identity(2), former)
        self.assertEqual(nodes.succeeded(job), 20)
        nodes.work()

    def test_a_store_without_its_key_and_a_key_without_its_store_are_new_nodes(self):
        nodes = self.make(3)
        nodes.start_all()
        job = nodes.work()
        former = nodes.identity(1)
        nodes.kill(1)
        (nodes.data(1) / "node.id").unlink()
        nodes.start(1)
        eventually(lambda: "this is now a new node" in nodes.log(1), "it says so")
        self.assertTrue((nodes.data(1) / "old-identity-1" / "db" / "CURRENT").exists())
        second = nodes.identity(1)
        self.assertNotEqual(second, former)
        eventually(lambda: nodes.is_member(second), "the new node is a member")
        nodes.kill(1)
        shutil.rmtree(nodes.database(1))
        nodes.start(1)
        eventually(lambda: nodes.log(1).count("this is now a new node") == 2, "it says so again")
        self.assertTrue((nodes.data(1) / "old-identity-2" / "node.id").exists())
        self.assertNotIn(nodes.identity(1), (former, second))
        self.assertEqual(nodes.succeeded(job), 20)

    def test_a_rolled_back_folder_refuses_and_a_new_identity_helps(self):
        nodes = self.make(3)
        nodes.start_all()
        nodes.work()
        nodes.stop(0)
        backup = f"{nodes.folder}/backup"
        subprocess.run(["cp", "-a", nodes.data(0), backup], check=True)
        nodes.start(0)
        nodes.wait_serving(at=1)
        job = nodes.work(50, at=1)
        time.sleep(1.5)
        nodes.stop(0)
        shutil.rmtree(nodes.data(0))
        os.rename(backup, nodes.data(0))
        nodes.start(0)
        self.check_refused(0, "old copy", "--new-identity")
        # For good: not even when nobody is there who could tell.
        nodes.kill(1)
        nodes.kill(2)
        nodes.start(0)
        self.check_refused(0)
        nodes.start(1)
        nodes.start(2)
        nodes.wait_serving(at=1)
        former = nodes.identity(0)
        nodes.start(0, "--new-identity")
        eventually(lambda: nodes.identity(0) != former and
                   nodes.is_member(nodes.identity(0), at=1), "the node is a new member")
        self.assertTrue((nodes.data(0) / "old-identity-1" / "db").exists())
        self.assertEqual(nodes.succeeded(job, at=1), 50)

    def test_a_copied_folder_ends_both(self):
        nodes = self.make(3)
        nodes.start_all()
        nodes.work()
        nodes.stop(0)
        copy = nodes.add()
        subprocess.run(["cp", "-a", nodes.data(0), nodes.data(copy)], check=True)
        nodes.start(0)
        nodes.wait_serving(at=0)
        time.sleep(1)  # It votes by then, whoever has answered: what the copy is told depends on it.
        nodes.start(copy)
        self.check_refused(copy, "--new-identity")
        self.check_refused(0, nodes.address(copy), "start this node again")
        # The copy never voted: the original goes on once it is gone.
        nodes.start(0)
        nodes.wait_serving(at=0)
        nodes.work(at=0)

    def test_a_damaged_store_refuses_to_start_and_names_the_remedy(self):
        nodes = self.make(1)
        nodes.start_all()
        nodes.work()
        nodes.kill(0)
        shard = next(iter(nodes.records(0)))[0]
        subprocess.run([STORE_TOOL, "damage-state", nodes.database(0), shard], check=True)
        nodes.start(0)
        self.assertNotEqual(nodes.status(0), 0)
        self.assertIn("--new-identity", nodes.log(0))
        nodes.start(0, "--new-identity")
        nodes.wait_serving()
        nodes.work()


class Records(DiskTest):
    def test_a_corrupt_record_in_one_home_is_repaired_from_the_others(self):
        nodes = self.make(3)
        nodes.start_all()
        job = nodes.work(200)
        nodes.kill(1)
        before = nodes.records(1)
        # One in each of ten shards: owned by this node and by others, when it comes back.
        damaged = list({record[0]: record for record in before}.values())[:10]
        for record in damaged:
            nodes.damage(1, record)
        self.assertEqual(sum(not good for _, good, _ in nodes.records(1).values()), len(damaged))
        nodes.start(1)
        nodes.wait_serving()
        self.assertEqual(nodes.succeeded(job, at=1), 200)
        end = time.monotonic() + PATIENCE
        while True:
            time.sleep(2)
            nodes.kill(1)
            after = nodes.records(1)
            bad = [record for record in damaged if not after[record][1]]
            if not bad or time.monotonic() > end:
                break
            nodes.start(1)
        self.assertEqual(bad, [])
        for record in damaged:
            self.assertGreaterEqual(after[record][0], before[record][0])


class Full(DiskTest):
    """A node on a small file system of its own."""

    def make_small(self, megabytes):
        if os.geteuid() != 0:
            self.fail("this test mounts a small file system: run it as root")
        nodes = self.make(1)
        nodes.data(0).mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs",
                        nodes.data(0)], check=True)
        self.addCleanup(lambda: subprocess.run(["umount", "-l", nodes.data(0)], check=False))
        return nodes

    def fill(self, leave):
        """Takes all room but so many bytes."""
        space = os.statvfs(self.nodes.data(0))
        with open(self.nodes.data(0) / "filler", "ab") as file:
            size = space.f_bavail * space.f_bsize - leave
            if size > 0:
                os.posix_fallocate(file.fileno(), file.tell(), size)

    def make_room(self):
        os.remove(self.nodes.data(0) / "filler")

    def running_array(self, count, seconds):
        """Of tasks that have all begun: on a full disk none would."""
        job = self.nodes.good("submit", "-q", "--array", f"0-{count - 1}", "--cpus", 2 / count,
                              "--", "sleep", seconds).strip()
        eventually(lambda: self.nodes.json("nodes")["nodes"][0]["figures"]["running"] == count,
                   "all of them run")
        return job

    def refused(self):
        done = self.nodes.run("--timeout", "500ms", "submit", "-q", "--", "true")
        return done.returncode != 0 and b"nearly full" in done.stderr

    def test_below_the_reserve_new_tasks_are_refused_until_there_is_room(self):
        nodes = self.make_small(160)
        nodes.start_all("--disk-reserve", "32MiB")
        running = self.running_array(4, 6)
        done = nodes.work()
        self.fill(20 << 20)
        eventually(lambda: "less than its reserve" in nodes.log(0), "the node says so")
        self.assertTrue(self.refused())
        # What was accepted ends, and what ended is shown.
        nodes.good("wait", running)
        self.assertEqual(nodes.succeeded(running), 4)
        self.assertEqual(nodes.succeeded(done), 20)
        self.assertEqual(nodes.log(0).count("less than its reserve"), 1)
        self.make_room()
        eventually(lambda: not self.refused(), "it takes tasks again")
        nodes.work()
        self.assertIn("again: new tasks are taken", nodes.log(0))

    def test_others_fill_the_disk_and_the_ballast_is_room_for_outcomes(self):
        nodes = self.make_small(160)
        nodes.start_all("--disk-reserve", "32MiB")
        running = self.running_array(4, 5)
        ballast = nodes.data(0) / "ballast"
        self.assertEqual(ballast.stat().st_size, 16 << 20)
        self.fill(0)
        eventually(lambda: not ballast.exists(), "the ballast is given up")
        nodes.good("wait", running)
        nodes.kill(0)
        nodes.start(0, "--disk-reserve", "32MiB")
        nodes.wait_serving()
        self.assertEqual(nodes.succeeded(running), 4)
        self.assertTrue(self.refused())
        self.make_room()
        eventually(ballast.exists, "there is ballast again")
        nodes.work()

    def test_a_disk_that_is_really_full_ends_the_node_and_loses_nothing(self):
        nodes = self.make_small(160)
        nodes.start_all("--disk-reserve", "0")
        jobs = []
        self.fill(0)
        while nodes.lives(0) and len(jobs) < 400:
            # 128 KiB each: the store has some room set aside, and that runs out.
            done = nodes.run("--timeout", "3s", "submit", "-q", "--",
                             "true", "x" * (120 << 10))
            if done.returncode == 0:
                jobs.append(done.stdout.decode().strip())
        self.assertEqual(nodes.status(0), EXIT_DISK)
        self.assertIn("is full", nodes.log(0))
        self.assertIn("Free space", nodes.log(0))
        self.make_room()
        nodes.start(0)
        nodes.wait_serving()
        for job in jobs:
            self.assertEqual(nodes.json("show", job)["tasks"]["total"], 1)
        nodes.work()


if __name__ == "__main__":
    unittest.main(verbosity=2)
