"""The image, docker-compose.yml and shoal-chaos on a real engine: founding, faults, addresses."""

import collections
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

from cluster import SHOAL, eventually, main
from containers import IMAGE, PATIENCE, Project, build_image, command, docker

CHAOS = os.path.join(os.path.dirname(SHOAL), "shoal-chaos")

TASKS = 600
# A line with the time before and after; all containers have this machine's clock.
MARK = ('mark() { echo "$1 $SHOAL_TASK_INDEX $SHOAL_ATTEMPT $(date +%s%N)" '
        '>>/var/lib/shoal/marks; }; mark S; sleep 0.2; mark E')
THAW_NS = 1_000_000_000  # What a suspended container may still do after that.


def setUpModule():
    build_image()


class Founding(unittest.TestCase):
    def test_too_few_containers_say_what_is_missing_and_found_when_enough_are_there(self):
        project = Project(2)
        self.addCleanup(project.down)

        def waits():
            done = project.inside(1, "shoal", "health", check=False)
            return done.returncode == 1 and re.search(
                "not healthy: .* does not serve yet: waiting for 1 more of 3", done.stdout)

        eventually(waits, "a node says that one of three is missing")
        project.scale(3)
        project.wait_whole()
        self.assertIn("serves; 3 of 3 members alive",
                      project.inside(2, "shoal", "health").stdout)


class Upgrading(unittest.TestCase):
    def test_containers_made_anew_of_another_image_are_the_same_nodes(self):
        project = Project(3)
        # docker-compose does not remove volumes that one container had of another.
        volumes = [volume for number in (1, 2, 3) for volume in project.volumes(number)]
        self.addCleanup(command, "docker", "volume", "rm", *volumes, check=False)
        self.addCleanup(project.down)
        project.wait_whole()
        job = project.good(1, "submit", "-q", "--", "echo", "kept").strip()
        project.good(1, "wait", job)
        nodes = {row["node"] for row in project.members(1).values()}
        docker("tag", IMAGE, IMAGE + "-next")
        self.addCleanup(docker, "rmi", IMAGE + "-next")
        project.image = IMAGE + "-next"
        before = project.ids()
        project.scale(3)
        self.assertFalse(set(before.values()) & set(project.ids().values()))
        project.wait_whole()
        self.assertEqual({row["node"] for row in project.members(2).values()}, nodes)
        self.assertEqual(project.good(3, "logs", job), "kept\n")


class Containers(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.project = Project(5)
        cls.addClassCleanup(cls.project.down)
        cls.project.wait_whole()

    def test_a_node_is_process_1_of_a_user_without_rights_and_leaves_no_zombies(self):
        state = self.project.inside(1, "cat", "/proc/1/comm").stdout
        self.assertEqual(state, "shoal\n")
        self.assertEqual(self.project.inside(1, "id", "-u").stdout, "10001\n")
        for _ in range(5):
            self.project.inside(1, "sh", "-c", "(sleep 0.2; exit 3) & (setsid sleep 0.1 &)")
        time.sleep(1)
        states = self.project.inside(1, "sh", "-c", "cat /proc/[0-9]*/stat").stdout
        self.assertNotRegex(states, r"\) Z ")

    def test_docker_calls_it_healthy_while_it_serves(self):
        def healthy(number):
            return self.project.inspect(number)["State"]["Health"]["Status"] == "healthy"

        eventually(lambda: all(map(healthy, self.project.ids())), "all are healthy", PATIENCE)

    def test_faults_of_containers_lose_nothing_and_give_one_outcome(self):
        project = self.project
        self.assertRegex(project.good(1, "run", "--", "hostname"), r"^[0-9a-f]{12}\n$")
        job = project.good(1, "submit", "-q", "--array", f"0-{TASKS - 1}", "-c", MARK).strip()
        self.kill(1)
        thawed = self.pause(2)
        self.move(3)
        self.stop(4)
        project.wait_whole()
        project.good(5, "wait", job, timeout=2 * PATIENCE)
        self.check(job, thawed)
        # All at once, and whatever address each comes back with.
        before = project.good(1, "show", "--json", "--tasks", job)
        project.compose("kill")
        project.compose("start")
        project.wait_whole()
        after = project.good(1, "show", "--json", "--tasks", job)
        self.assertEqual(json.loads(before)["task_list"], json.loads(after)["task_list"])

    def progress(self):
        """A moment in which the others get on."""
        time.sleep(3)

    def kill(self, number):
        docker("kill", self.project.id(number))
        self.progress()
        docker("start", self.project.id(number))

    def pause(self, number):
        """For longer than a lease; the end of it, in ns, and whose it was."""
        docker("pause", self.project.id(number))
        time.sleep(8)
        docker("unpause", self.project.id(number))
        return number, time.time_ns()

    def move(self, number):
        """It loses its address to a newcomer while it is cut off, and comes back with another."""
        project = self.project
        before = project.ip(number)
        docker("network", "disconnect", project.network(), project.id(number))
        project.scale(6)
        eventually(lambda: project.ip(6) == before, "the newcomer has its address")
        self.progress()
        docker("network", "connect", "--alias", "node", project.network(), project.id(number))
        self.assertNotEqual(project.ip(number), before)
        project.wait_whole()

    def stop(self, number):
        """In its grace, as design: its tasks are ended and given back, which is no failure."""
        begun = time.monotonic()
        docker("stop", self.project.id(number))
        self.assertLess(time.monotonic() - begun, 20)
        self.assertEqual(self.project.inspect(number)["State"]["ExitCode"], 0)
        self.progress()
        docker("start", self.project.id(number))

    def marks(self):
        """(ns, kind, index, attempt, node) in the order of time."""
        lines = []
        for number in self.project.ids():
            text = self.project.inside(number, "sh", "-c", "cat /var/lib/shoal/marks || true")
            for line in text.stdout.splitlines():
                kind, index, attempt, ns = line.split()
                lines.append((int(ns), kind, int(index), int(attempt), number))
        return sorted(lines)

    def check(self, job, thawed):
        shown = json.loads(self.project.good(5, "show", "--json", "--tasks", job))
        self.assertEqual((shown["tasks"]["succeeded"], shown["tasks"]["total"]), (TASKS, TASKS))
        marks = self.marks()
        begun = collections.defaultdict(set)
        newest = {}
        overlaps = []
        for ns, kind, index, attempt, number in marks:
            if kind == "S":
                begun[index].add(attempt)
                newest[index] = max(attempt, newest.get(index, 0))
            elif attempt < newest.get(index, 0):
                residue = number == thawed[0] and ns <= thawed[1] + THAW_NS
                if not residue:
                    overlaps.append((index, attempt, number))
        self.assertEqual(overlaps, [])
        for task in shown["task_list"]:
            self.assertIn(task["attempt"], begun[task["index"]], task)
        self.assertEqual(len({task["index"] for task in shown["task_list"]}), TASKS)
        starts = sum(1 for mark in marks if mark[1] == "S")
        self.assertGreater(starts, TASKS, "no fault cost an attempt: they hurt nothing")


SCENARIO = """
chaos = 1
name = "containers"
seed = 5
duration = "26s"
warmup = "3s"
settle = "3s"

[cluster]
nodes = 4
backend = "compose"

[load]
tasks = 4000
payload = "sleep:5ms~100ms"
cpus = 0.05

[[fault]]
at = "4s"
what = "kill"
target = "any"
for = "3s"

[[fault]]
at = "9s"
what = "partition"
target = "any"
for = "4s"

[[fault]]
at = "15s"
what = "pause"
scope = "host"
target = "any"
for = "4s"

[[fault]]
at = "21s"
what = "upgrade"
target = "any"
"""


class Chaos(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="shoal-e2e-chaos-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.environment = {**os.environ, "XDG_STATE_HOME": str(self.folder / "state"),
                            "SHOAL_IMAGE": IMAGE}
        (self.folder / "containers.toml").write_text(SCENARIO)

    def run_words(self):
        return [CHAOS, "run", self.folder / "containers.toml", "--dir", self.folder, "--out",
                self.folder / "run"]

    def clusters(self):
        """What the tool's clusters have left: containers, networks, tables, folders."""
        tables = command("nft", "list", "tables").stdout
        return (docker("ps", "-aq", "--filter", "name=shoal-chaos-") +
                docker("network", "ls", "-q", "--filter", "name=shoal-chaos-") +
                "".join(re.findall("shoal-chaos-.*", tables)) +
                " ".join(map(str, self.folder.glob("shoal-chaos-*"))))

    def test_a_run_on_containers_passes_and_leaves_nothing(self):
        done = command(*self.run_words(), env=self.environment, timeout=3 * PATIENCE, check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        verdicts = {each["name"]: each for each in json.loads(
            (self.folder / "run" / "summary.json").read_text())["verdicts"]}
        self.assertEqual(verdicts["faults"]["value"], "4 made, 0 not", done.stderr)
        self.assertGreaterEqual(int(verdicts["lost"]["value"].split()[2]), 4000)
        self.assertIn("serves cluster", (self.folder / "run" / "nodes" / "n1.log").read_text())
        self.assertEqual(self.clusters(), "")

    def test_a_killed_tool_leaves_nothing_broken_and_nothing_running(self):
        tool = subprocess.Popen(self.run_words(), env=self.environment, stdout=subprocess.DEVNULL,
                                stderr=subprocess.DEVNULL)
        faults = self.folder / "run" / "faults.jsonl"
        try:
            eventually(lambda: faults.exists() and '"partition"' in faults.read_text(),
                       "a node is cut off")
            self.assertNotEqual(self.clusters(), "")
        finally:
            tool.send_signal(signal.SIGKILL)
            tool.wait()
        eventually(lambda: self.clusters() == "", "all of its cluster is gone")
        eventually(lambda: not list((self.folder / "state").rglob("*.journal")),
                   "its journal is closed")


class TakingDown(unittest.TestCase):
    def test_nothing_of_a_project_stays(self):
        project = Project(1)
        volumes = project.volumes(1)
        self.assertTrue(volumes)
        project.down()
        self.assertEqual(project.ids(), {})
        self.assertEqual(project.network(), "")
        for volume in volumes:
            gone = command("docker", "volume", "inspect", volume, check=False)
            self.assertNotEqual(gone.returncode, 0)


if __name__ == "__main__":
    main()
