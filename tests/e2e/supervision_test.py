"""Tasks outlive the process of their node: killed, stopped, upgraded, frozen, or ended on purpose."""

import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

from cluster import (PATIENCE, SHOAL, Cluster, eventually, free_port, main, process_lives, shoal,
                     supervisors_of)
from marks import Marks


def bearing(mark):
    """The processes whose environment holds this NAME=VALUE."""
    found = []
    for entry in os.listdir("/proc"):
        try:
            with open(f"/proc/{entry}/environ", "rb") as file:
                if entry.isdigit() and mark.encode() in file.read().split(b"\0"):
                    found.append(int(entry))
        except OSError:
            continue
    return [pid for pid in found if process_lives(pid)]


def groups_of(folder):
    """The control groups of the supervisors that are listed below this folder."""
    found = set()
    for path in pathlib.Path(folder).rglob("*.process"):
        try:
            lines = path.read_text().splitlines()
        except OSError:
            continue  # It has just gone.
        found.update(line.split(" ", 1)[1] for line in lines if line.startswith("group "))
    return found


def left_of(groups):
    return [path for path in groups if os.path.exists(path)]


class OneNode(unittest.TestCase):
    """One node, started by hand: its process may be killed and started again at will."""

    command = ()

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="shoal-e2e-")
        self.port = free_port()
        self.process = None
        self.program = SHOAL
        self.addCleanup(self.clean)
        self.start()

    def clean(self):
        if self.process and self.process.poll() is None:
            os.kill(self.process.pid, signal.SIGCONT)
            self.process.kill()
            self.process.wait()
        pids = self.supervisors()
        groups = groups_of(self.folder)
        shutil.rmtree(self.folder, ignore_errors=True)
        # Without their folder they cannot be found again: they end what they run, and themselves.
        eventually(lambda: not any(map(process_lives, pids)), "supervisors end without folder", 20)
        eventually(lambda: not left_of(groups), "no control group is left", 20)

    def start(self, *options, env=None):
        with open(f"{self.folder}/node.log", "a", encoding="utf-8") as log:
            self.process = subprocess.Popen(
                [*self.command, self.program, "node", "--listen", f"127.0.0.1:{self.port}", "--data",
                 f"{self.folder}/data", "--cpus", "4", *options],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log,
                env={**os.environ, **(env or {})})
        eventually(lambda: self.run_shoal("nodes").returncode == 0, "the node answers")

    def kill(self):
        self.process.kill()
        self.process.wait()

    def terminate(self):
        self.process.terminate()
        return self.process.wait(timeout=PATIENCE)

    def supervisors(self):
        found = []
        for entry in os.listdir("/proc"):
            try:
                with open(f"/proc/{entry}/cmdline", "rb") as file:
                    words = file.read().split(b"\0")
            except OSError:
                continue
            if b"supervisor" in words[1:2] and f"{self.folder}/data".encode() in words:
                found.append(int(entry))
        return found

    def log(self):
        return pathlib.Path(f"{self.folder}/node.log").read_text()

    def run_shoal(self, *words, **options):
        return shoal(*words, env={"SHOAL_ADDR": f"127.0.0.1:{self.port}"}, **options)

    def good(self, *words, **options):
        done = self.run_shoal(*words, **options)
        self.assertEqual(done.returncode, 0, f"{words}: {done.stderr}\n{self.log()[-3000:]}")
        return done.stdout.decode()

    def submit(self, *words):
        return self.good("submit", "-q", *words).strip()

    # For Marks.
    @property
    def marks(self):
        return Marks(self, "marks")

    def array(self, count, seconds, *options):
        marks = self.marks
        job = self.submit("--array", f"0-{count - 1}", *options, *marks.command(seconds))
        eventually(lambda: len(marks.starts()) == count, "all tasks have begun")
        return job, marks

    def check_once(self, job, marks, count):
        """Every task succeeded with its first and only attempt."""
        self.good("wait", job, timeout=PATIENCE)
        self.assertEqual({index: attempts for index, attempts in marks.starts().items()},
                         {index: [1] for index in range(count)}, self.log()[-3000:])
        ends = [index for kind, index, _ in marks.lines() if kind == "E"]
        self.assertEqual(sorted(ends), list(range(count)))


class Restart(OneNode):
    def test_tasks_run_through_kill_9_of_their_node(self):
        job, marks = self.array(4, 6)
        self.kill()
        time.sleep(0.5)
        self.start()
        self.check_once(job, marks, 4)

    def test_tasks_run_through_kill_9_again_and_again(self):
        job, marks = self.array(4, 8)
        for _ in range(5):
            self.kill()
            self.start()
            time.sleep(0.3)
        self.check_once(job, marks, 4)
        eventually(lambda: len(self.supervisors()) == os.cpu_count(), "former supervisors quit")

    def test_what_ended_while_the_node_was_away_is_its_outcome(self):
        job, marks = self.array(4, 1)
        self.kill()
        eventually(lambda: sum(kind == "E" for kind, _, _ in marks.lines()) == 4, "all have ended")
        self.start()
        self.check_once(job, marks, 4)

    def test_the_output_of_a_recovered_task_is_whole(self):
        job = self.submit("--", "sh", "-c", "for i in 1 2 3 4 5 6; do echo $i; sleep 0.5; done")
        eventually(lambda: "2\n" in self.run_shoal("logs", job).stdout.decode(), "it writes")
        self.kill()
        self.start()
        follower = self.good("logs", "-f", job)
        self.assertEqual(follower, "1\n2\n3\n4\n5\n6\n")

    def test_tasks_run_through_a_stop_and_a_start(self):
        job, marks = self.array(4, 6)
        self.assertEqual(self.terminate(), 0)
        self.assertTrue(self.supervisors())
        self.start()
        self.check_once(job, marks, 4)

    def test_a_stop_without_tasks_leaves_no_process_behind(self):
        self.good("run", "--", "true")
        pids = self.supervisors()
        self.assertEqual(len(pids), os.cpu_count())
        self.assertEqual(self.terminate(), 0)
        eventually(lambda: not any(map(process_lives, pids)), "the supervisors quit", 10)

    def test_tasks_run_through_an_upgrade(self):
        self.kill()
        self.start(env={"SHOAL_TEST_BUILD": "the old build"})
        old = self.supervisors()
        job, marks = self.array(4, 6)
        self.assertEqual(self.terminate(), 0)
        self.start(env={"SHOAL_TEST_BUILD": "the new build"})
        eventually(lambda: "the old build" in self.log(), "the old ones are recognised")
        # New tasks go to new supervisors while the old ones still run theirs.
        mark = "SHOAL_SUPERVISOR"
        late = self.good("run", "--cpus", "0", "--", "sh", "-c", f"echo ${mark}").strip()
        owner = next(pid for pid in self.supervisors()
                     if late in pathlib.Path(f"/proc/{pid}/cmdline").read_text())
        self.assertNotIn(owner, old)
        self.check_once(job, marks, 4)
        eventually(lambda: not any(map(process_lives, old)), "the old supervisors quit")

    def test_tasks_run_through_kill_9_and_another_build_in_the_programs_place(self):
        self.kill()
        self.program = f"{self.folder}/shoal"
        shutil.copy(SHOAL, self.program)
        self.start()
        old = self.supervisors()
        job, marks = self.array(4, 6)
        # As packages replace it: a new file under the old name, of another build id.
        build = pathlib.Path(SHOAL).read_bytes()
        note = b"\x04\0\0\0\x14\0\0\0\x03\0\0\0GNU\0"
        self.assertEqual(build.count(note), 1)
        at = build.index(note) + len(note)
        newer = pathlib.Path(f"{self.program}.new")
        newer.write_bytes(build[:at] + bytes(byte ^ 0xff for byte in build[at:at + 20]) +
                          build[at + 20:])
        newer.chmod(0o755)
        newer.rename(self.program)
        self.kill()
        self.start()
        eventually(lambda: build[at:at + 20].hex() in self.log(), "the old ones are recognised")
        self.check_once(job, marks, 4)
        eventually(lambda: not any(map(process_lives, old)), "the old supervisors quit")

    def test_a_cancelled_recovered_task_ends_with_its_tree(self):
        job = self.submit("--", "sh", "-c", "setsid sleep 600 & sleep 600")
        mark = f"SHOAL_JOB_ID={job}"
        eventually(lambda: len(bearing(mark)) == 3, "its tree is there")
        self.kill()
        self.start()
        self.good("cancel", job)
        self.assertEqual(self.run_shoal("wait", job).returncode, 1)
        self.assertEqual(bearing(mark), [])

    def test_a_supervisor_that_died_meanwhile_costs_its_tasks_one_attempt(self):
        job, marks = self.array(4, 3)
        pids = self.supervisors()
        self.kill()
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        self.start()
        self.good("wait", job)
        self.assertEqual(marks.overlaps(), [])
        self.assertEqual({index: attempts[-1] for index, attempts in marks.starts().items()},
                         {index: 2 for index in range(4)})


class Frozen(OneNode):
    def test_leases_end_while_the_node_is_stopped_by_a_signal(self):
        job = self.submit("--", "sh", "-c", "setsid sleep 600 & sleep 600")
        mark = f"SHOAL_JOB_ID={job}"
        eventually(lambda: len(bearing(mark)) == 3, "its tree is there")
        os.kill(self.process.pid, signal.SIGSTOP)
        try:
            eventually(lambda: not bearing(mark), "the tree ends with its lease", 10)
        finally:
            os.kill(self.process.pid, signal.SIGCONT)
        self.good("cancel", job)


class ProcessOne(OneNode):
    """The node as process 1 of a container; here of a namespace of processes."""

    command = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")

    def setUp(self):
        if os.geteuid() != 0:
            self.fail("this test makes a namespace of processes: run it as root")
        super().setUp()

    def clean(self):
        # Killed outright, the whole namespace would die at once, supervisors too, and their control
        # groups would stay until the next one starts.
        if self.process.poll() is None:
            os.kill(self.inside(), signal.SIGTERM)
            self.process.wait(timeout=PATIENCE)
        super().clean()

    def inside(self):
        """The node, a child of unshare."""
        text = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return int(text.split()[0])

    def test_it_ends_its_tasks_as_it_stops(self):
        job = self.submit("--", "sh", "-c", "trap 'echo tidy; exit' TERM; setsid sleep 600 & wait")
        mark = f"SHOAL_JOB_ID={job}"
        eventually(lambda: len(bearing(mark)) == 2, "its tree is there")
        os.kill(self.inside(), signal.SIGTERM)
        self.assertEqual(self.process.wait(timeout=PATIENCE), 0)
        self.assertEqual(bearing(mark), [])
        self.assertEqual(os.listdir(f"{self.folder}/data/supervisors"), ["all.log"])

    def test_it_collects_orphans(self):
        # They leave their task's supervisor as it dies, and become children of process 1.
        node = self.inside()
        job = self.submit("--", "sh", "-c", "for i in 1 2 3 4 5; do setsid sleep 600 & done; wait")
        eventually(lambda: len(bearing(f"SHOAL_JOB_ID={job}")) == 6, "its tree is there")
        for pid in self.supervisors():
            os.kill(pid, signal.SIGKILL)

        def zombies():
            children = pathlib.Path(f"/proc/{node}/task/{node}/children").read_text().split()
            return [pid for pid in children if not process_lives(pid)]
        eventually(lambda: len(self.supervisors()) == os.cpu_count(), "new supervisors are there")
        eventually(lambda: not zombies(), "nobody waits to be collected")
        self.good("cancel", job)


class Dev(unittest.TestCase):
    def test_dev_stop_leaves_no_process_behind(self):
        cluster = Cluster(2)
        try:
            job = cluster.submit("--array", "0-3", "--", "sh", "-c", "setsid sleep 600 & sleep 600")
            mark = f"SHOAL_JOB_ID={job}"
            eventually(lambda: bearing(mark), "tasks run")
            pids = [pid for index in range(2) for pid in supervisors_of(cluster.pid(index))]
            groups = groups_of(cluster.folder)
            self.assertTrue(pids)
            killed = cluster.pid(1)
            cluster.kill(1)
            # Only the node: what it ran runs on, until its lease ends or somebody stops it.
            self.assertFalse(process_lives(killed))
            self.assertTrue(all(map(process_lives, pids)))
            cluster.dev("stop")
            self.assertEqual(bearing(mark), [])
            self.assertFalse(any(map(process_lives, pids)))
            self.assertEqual(left_of(groups), [])
        finally:
            cluster.stop()


if __name__ == "__main__":
    main()
