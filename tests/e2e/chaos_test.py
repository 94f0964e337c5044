"""shoal-chaos: short runs pass, tampered evidence fails, and what it broke is mended come what may."""

import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import unittest

from cluster import PATIENCE, SHOAL, Cluster, eventually, main, process_lives
from namespaces import why_not

CHAOS = os.path.join(os.path.dirname(SHOAL), "shoal-chaos")
RUN_LIMIT = 200  # Seconds; a run that finds a node stuck gives up by itself.

SHORT = ["cluster.nodes=3", "load.tasks=2000", "warmup=2s", "settle=2s", "fault.0.at=3s"]
KILL_ONE = [*SHORT, "duration=12s", "fault.0.for=3s", "fault.0.repeat=5s", "fault.0.times=2"]
ROLLING = [*SHORT, "duration=16s", "fault.0.rolling=2s", "fault.1.at=9s", "fault.1.rolling=2s"]
WHOLE = [*SHORT, "duration=16s", "fault.0.for=2s", "fault.1.at=10s"]
FROZEN = [*SHORT, "duration=18s", "fault.0.for=7s", "fault.1.at=11s", "fault.1.for=6s"]

PLAYED = """
chaos = 1
duration = "13s"
warmup = "2s"
settle = "2s"
cluster = { nodes = 3 }
load = { tasks = 1000, payload = "sleep:5ms~50ms", cpus = 0.05 }
[[fault]]
at = "3s"
what = "clock"
target = "n1"
skew = "1h"
jump = "300ms"
for = "4s"
[[fault]]
at = "3s"
what = "clock"
which = "boot"
target = "n2"
for = "8s"
[[fault]]
at = "4s"
what = "disk.slow"
target = "n2"
for = "3s"
[[fault]]
at = "8s"
what = "disk.read_only"
target = "n3"
for = "3s"
"""


# Seconds from the load's start, and what is done then for two seconds; each for one node.
NETWORK = [(1, "net.slice", "bytes = 50"), (1, "net.dup", "pct = 50"), (2, "net.half_open", ""),
           (3, "net.delay", "ms = 30\njitter = 20"), (3, "net.reorder", "pct = 30"),
           (4, "net.corrupt", "pct = 5"), (5, "net.rate", 'rate = "256KiB"'),
           (5, "net.loss", "pct = 20"), (6, "partition", 'way = "out"')]
CUTS = [(1, "net.loss", "pct = 20"), (2, "net.rate", 'rate = "1MiB"'), (3, "partition", 'way = "in"')]


def scenario_of(faults, seconds):
    """Three nodes and some work, and those faults."""
    text = f'chaos = 1\nduration = "{seconds}s"\nwarmup = "1s"\nsettle = "1s"\n'
    text += '[cluster]\nnodes = 3\n[load]\ntasks = 1000\n'
    for at, what, parameters in faults:
        text += f'[[fault]]\nat = "{at}s"\nwhat = "{what}"\ntarget = "any"\nfor = "2s"\n{parameters}\n'
    return text


def processes_naming(words):
    """Ids of processes with these words in their command lines."""
    found = []
    for entry in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if words.encode() in entry.read_bytes():
                found.append(int(entry.parent.name))
        except OSError:
            pass
    return [pid for pid in found if process_lives(pid)]


class Chaos(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="chaos-e2e-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        # Journals of others are none of this test's business.
        self.environment = {**os.environ, "XDG_STATE_HOME": str(self.folder / "state")}

    def chaos(self, *words, status=0, timeout=RUN_LIMIT):
        done = subprocess.run([CHAOS, *map(str, words)], capture_output=True, text=True,
                              env=self.environment, timeout=timeout, check=False)
        said = f"{words}: status {done.returncode}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
        self.assertEqual(done.returncode, status, said)
        return done

    def play(self, scenario, sets, name="run"):
        out = self.folder / name
        words = [word for each in sets for word in ("--set", each)]
        self.chaos("run", scenario, "--seed", 7, "--dir", self.folder, "--out", out,
                   "--junit", self.folder / "junit.xml", *words)
        return out

    def verdicts(self, out):
        summary = json.loads((out / "summary.json").read_text())
        return {each["name"]: each for each in summary["verdicts"]}

    def journals(self):
        return list((self.folder / "state").rglob("*.journal"))


class Runs(Chaos):
    def test_kill_one_passes_and_tampered_evidence_fails(self):
        out = self.play("kill-one", KILL_ONE)
        verdicts = self.verdicts(out)
        self.assertEqual(verdicts["lost"]["value"].split()[0], "0")
        self.assertGreaterEqual(int(verdicts["lost"]["value"].split()[2]), 2000)
        self.assertEqual(verdicts["faults"]["value"], "2 made, 0 not")
        self.assertIn("<svg", (out / "report.html").read_text())
        self.assertIn('failures="0"', (self.folder / "junit.xml").read_text())
        self.assertEqual(self.journals(), [])
        # The watchdog of the journal sees that it is closed a moment later.
        eventually(lambda: not processes_naming(str(self.folder)), "nothing of it runs on")
        self.tamper(out)

    def tamper(self, out):
        """Each alteration of the evidence fails the verdict that is there for it."""
        marks = (out / "marks").read_text().splitlines(keepends=True)
        history = (out / "history.jsonl").read_text().splitlines(keepends=True)
        seen = next(json.loads(line) for line in history if '"seen"' in line and "[[" in line)
        index, state, attempt, ended = seen["tasks"][0]
        other = {**seen, "tasks": [[index, state, attempt + 1, ended + 5]]}
        once = next(json.loads(line)["job"] for line in history
                    if '"at_most_once":true' in line and '"result":"ok"' in line)
        again = next(line for line in marks if line.startswith(f"S {once} ")).split()
        again[3] = str(int(again[3]) + 1)
        task = f"{seen['seen']} {index} "
        self.check(out, "outcomes", history=[*history, json.dumps(other) + "\n"])
        self.check(out, "lost", history=[line for line in history
                                         if f'"seen":"{seen["seen"]}"' not in line])
        self.check(out, "phantoms", marks=[line for line in marks if not line.startswith("E " + task)])
        self.check(out, "at_most_once", marks=[*marks, " ".join(again) + "\n"])
        first = next(line for line in marks if line.startswith("S " + task)).split()
        twin = [*first[:5], str(int(first[5]) + 1), str(int(first[6]) + 1)]
        self.check(out, "fencing", marks=[*marks, " ".join(twin) + "\n"])

    def check(self, out, fails, marks=None, history=None):
        copy = self.folder / "copy"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(out, copy)
        if marks is not None:
            (copy / "marks").write_text("".join(marks))
        if history is not None:
            (copy / "history.jsonl").write_text("".join(history))
        self.chaos("check", copy, status=1)
        self.assertEqual(self.verdicts(copy)[fails]["result"], "fail", fails)

    def test_frozen_node_passes(self):
        verdicts = self.verdicts(self.play("frozen-node", FROZEN))
        self.assertEqual(verdicts["overlaps"]["result"], "pass")
        self.assertEqual(verdicts["faults"]["value"], "2 made, 0 not")

    def test_rolling_restart_passes(self):
        verdicts = self.verdicts(self.play("rolling-restart", ROLLING))
        self.assertEqual(verdicts["lost"]["result"], "pass")

    def test_the_whole_cluster_is_killed_and_goes_on(self):
        verdicts = self.verdicts(self.play("whole-cluster", WHOLE))
        self.assertEqual(verdicts["lost"]["result"], "pass")
        self.assertEqual(verdicts["faults"]["value"], "2 made, 0 not")

    def test_wrong_clocks_and_bad_disks_are_played_healed_and_compared(self):
        path = self.folder / "played.toml"
        path.write_text(PLAYED)
        out = self.play(path, [])
        self.assertEqual(self.verdicts(out)["faults"]["value"], "4 made, 0 not")
        logs = "".join(log.read_text(errors="replace") for log in (out / "nodes").iterdir())
        self.assertIn("this node was started for tests", logs)
        self.assertIn("the disk is read-only", logs)
        page = self.folder / "two.html"
        said = self.chaos("compare", out, out, "--html", page).stdout
        self.assertRegex(said, r"lost +PASS +0 of \d+ +PASS +0 of \d+ +=")
        self.assertEqual(page.read_text().count("<svg"), 2)
        self.assertIn("holds no run", self.chaos("compare", out, self.folder, status=2).stderr)
        self.assertIn("cannot be written",
                      self.chaos("compare", out, out, "--html", "/proc/none/x", status=1).stderr)


class Networks(Chaos):
    def hurt(self, against, faults, seconds):
        path = self.folder / "network.toml"
        path.write_text(scenario_of(faults, seconds))
        out = self.folder / "run"
        self.chaos("run", path, "--against", against, "--seed", 3, "--dir", self.folder, "--out", out)
        self.assertEqual(self.verdicts(out)["faults"]["value"], f"{len(faults)} made, 0 not")
        self.assertEqual(self.journals(), [])
        eventually(lambda: not processes_naming(str(self.folder)), "nothing of it runs on")

    def test_every_fault_of_the_network_through_a_relay(self):
        self.hurt("relay", NETWORK, 8)

    def test_cuts_between_namespaces(self):
        reason = why_not()
        if reason:
            self.skipTest(f"no network namespaces can be made here: {reason}")
        before = os.listdir("/run/netns")
        self.hurt("netns", CUTS, 5)
        self.assertLessEqual(set(os.listdir("/run/netns")), set(before))

    def test_a_back_end_that_cannot_hurt_a_network_says_which_can(self):
        words = ("run", "slow-node", "--dry-run", "--against")
        self.assertIn("--against relay", self.chaos(*words, "local", status=2).stderr)
        self.assertIn("--against relay", self.chaos(*words, "netns", status=2).stderr)
        self.assertIn("relay-tell", self.chaos(*words, "relay").stdout)


class Mending(Chaos):
    def test_a_killed_tool_leaves_nothing_broken_and_nothing_running(self):
        words = ["--set", "cluster.nodes=1", "--set", "load.tasks=50", "--set", "warmup=1s",
                 "--set", "fault.0.at=1s", "--set", "fault.1.at=40s"]
        tool = subprocess.Popen([CHAOS, "run", "frozen-node", "--dir", str(self.folder), "--out",
                                 str(self.folder / "run"), *words], env=self.environment,
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        faults = self.folder / "run" / "faults.jsonl"
        try:
            eventually(lambda: faults.exists() and "injected" in faults.read_text(), "a node is paused")
        finally:
            tool.send_signal(signal.SIGKILL)
            tool.wait()
        eventually(lambda: not processes_naming(f"{self.folder}/shoal-chaos-"), "its nodes are gone")
        eventually(lambda: self.journals() == [], "its journal is closed")
        self.assertEqual(list(self.folder.glob("shoal-chaos-*")), [])
        self.assertIn("nothing is left", self.chaos("heal").stderr)

    def test_faults_by_hand_on_a_dev_cluster_are_healed_twice_without_harm(self):
        cluster = Cluster(2)
        self.addCleanup(cluster.stop)
        where = ("--against", f"local:{cluster.folder}")
        pid = cluster.pid(0)
        planned = self.chaos("pause", "n1", "--dry-run", *where).stdout
        self.assertIn(f"kill -STOP {pid}", planned)
        self.chaos("inject", "pause", cluster.name(0), *where)
        states = lambda: json.loads(self.chaos("status", "--json", *where).stdout)
        eventually(lambda: states()["nodes"][0]["state"] == "paused", "the node is paused")
        self.assertEqual(len(states()["broken"]), 1)
        self.assertIn("healed: pause", self.chaos("heal").stdout)
        eventually(lambda: states()["nodes"][0]["state"] == "up", "the node goes on")
        self.assertIn("nothing is left", self.chaos("heal").stderr)
        self.chaos("kill", cluster.name(1), "--for", "1s", *where)
        eventually(lambda: states()["nodes"][1]["state"] == "up", "the node is started again")
        self.assertEqual(states()["broken"], [])


class BadInput(Chaos):
    def test_what_is_not_there_is_refused_by_name(self):
        path = self.folder / "s.toml"
        path.write_text('chaos = 1\n[[fault]]\nat = "9s"\nwhat = "parttion"\n')
        self.assertRegex(self.chaos("run", path, status=2).stderr,
                         re.escape(f"{path}:4:") + ".*there is no fault 'parttion'")
        path.write_text('chaos = 1\n[cluster]\nbackend = "elsewhere"\n')
        self.assertIn("there is no back end 'elsewhere'", self.chaos("run", path, status=2).stderr)
        self.assertIn("Did you mean 'kill-one'", self.chaos("run", "kil-one", status=2).stderr)
        refused = self.chaos("status", "--against", f"local:{self.folder}", status=4)
        self.assertIn("there is no local cluster", refused.stderr)

    def test_a_dry_run_starts_nothing_and_prints_the_same_for_the_same_seed(self):
        first = self.chaos("run", "monkey", "--seed", 5, "--dry-run", timeout=PATIENCE).stdout
        second = self.chaos("run", "monkey", "--seed", 5, "--dry-run", timeout=PATIENCE).stdout
        token = re.compile("[0-9a-f]{16}|127[.]0[.]0[.]1:[0-9]+")
        self.assertEqual(token.sub("-", first), token.sub("-", second))
        self.assertIn("seed 5", first.splitlines()[0])
        self.assertIn("kill -KILL", first)
        self.assertEqual(self.journals(), [])


if __name__ == "__main__":
    main()
