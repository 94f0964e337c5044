"""Clusters made by `shoal dev` for tests, and how to talk to them.

SHOAL_BIN names the folder of the programs under test. A test that fails prints the ends of its
nodes' logs.
"""

import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

SHOAL = os.path.join(os.environ.get("SHOAL_BIN", "build/release/bin"), "shoal")
PATIENCE = 60  # Seconds for what should take few; the machine may be busy.
LOG_LINES = 25


def shoal(*words, env=None, timeout=PATIENCE, stdin=b""):
    """Runs the program to its end; streams are bytes."""
    environment = {key: value for key, value in os.environ.items() if key != "SHOAL_ADDR"}
    environment.update(env or {})
    return subprocess.run([SHOAL, *map(str, words)], input=stdin, capture_output=True,
                          env=environment, timeout=timeout, check=False)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def eventually(condition, what, patience=PATIENCE):
    """Polls until `condition` returns something true, and returns that."""
    end = time.monotonic() + patience
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"did not come true in {patience} s: {what}")
        time.sleep(0.05)


def process_lives(pid):
    """A process that ended but was not collected does not count."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def supervisors_of(pid):
    """The supervisor processes that a node started or took over, by its data folder."""
    with open(f"/proc/{pid}/cmdline", "rb") as file:
        words = file.read().split(b"\0")
    folder = words[words.index(b"--data") + 1]
    found = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/cmdline", "rb") as file:
                command = file.read().split(b"\0")
            with open(f"/proc/{entry}/environ", "rb") as file:
                environment = file.read()
        except OSError:
            continue
        if b"supervisor" in command[1:2] and (folder in b" ".join(command) or
                                              folder in environment):
            found.append(int(entry))
    return found


def cpu_seconds(pid):
    """User and system time that the process has used."""
    with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Cluster:
    def __init__(self, nodes=3):
        self.folder = tempfile.mkdtemp(prefix="shoal-e2e-")
        started = self.dev("-n", nodes)
        self.nodes = self.ps()
        assert len(self.nodes) == nodes, started

    def dev(self, *words):
        done = shoal("dev", *words, "--dir", self.folder, timeout=2 * PATIENCE)
        if done.returncode != 0:
            raise AssertionError(f"shoal dev {words}: status {done.returncode}: "
                                 f"{done.stderr.decode(errors='replace')}\n{self.log_tails()}")
        return done.stdout.decode()

    def ps(self):
        """A list of {name, pid or None, address}."""
        return json.loads(self.dev("ps", "--json"))

    def name(self, index):
        return self.nodes[index]["name"]

    def pid(self, index):
        return next(node["pid"] for node in self.ps() if node["name"] == self.name(index))

    def kill(self, index):
        self.dev("kill", self.name(index))

    def start(self, index):
        self.dev("start", self.name(index))

    def kill_all(self):
        for index in range(len(self.nodes)):
            self.kill(index)

    def start_all(self):
        """Of a cluster none of whose nodes runs."""
        self.dev("-n", len(self.nodes))

    def terminate(self, index):
        """SIGTERM, and waits for the node's end."""
        pid = self.pid(index)
        os.kill(pid, signal.SIGTERM)
        eventually(lambda: not process_lives(pid), f"node {self.name(index)} ends after SIGTERM")

    def stop(self):
        try:
            self.dev("stop")
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)

    def environment(self, at=None):
        """All addresses; with `at` that node's alone, or in the order of the list given."""
        indices = range(len(self.nodes)) if at is None else [at] if isinstance(at, int) else at
        return {"SHOAL_ADDR": ",".join(self.nodes[i]["address"] for i in indices)}

    def run(self, *words, at=None, timeout=PATIENCE, stdin=b""):
        return shoal(*words, env=self.environment(at), timeout=timeout, stdin=stdin)

    def popen(self, *words, at=None):
        # Unbuffered: communicate() would not see what readline() had read ahead.
        return subprocess.Popen([SHOAL, *map(str, words)], stdin=subprocess.DEVNULL, bufsize=0,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                env={**os.environ, **self.environment(at)})

    def good(self, *words, **options):
        """The same, when anything but status 0 is a failure; returns what it printed, as text."""
        done = self.run(*words, **options)
        if done.returncode != 0:
            raise AssertionError(f"shoal {words}: status {done.returncode}\n"
                                 f"stdout: {done.stdout[-2000:]}\nstderr: {done.stderr[-2000:]}")
        return done.stdout.decode()

    def json(self, *words, **options):
        return json.loads(self.good(*words, "--json", **options))

    def submit(self, *words, **options):
        return self.good("submit", "-q", *words, **options).strip()

    def figures(self, index):
        """The node's own figures, or None when it does not answer."""
        done = self.run("nodes", "--json", at=index)
        if done.returncode != 0:
            return None
        nodes = json.loads(done.stdout)["nodes"]
        return next((node["figures"] for node in nodes if node["self"]), None)

    def whole(self):
        """Every node serves, sees all others alive and every shard has an owner."""
        for index in range(len(self.nodes)):
            done = self.run("nodes", "--json", at=index)
            if done.returncode != 0:
                return False
            view = json.loads(done.stdout)
            alive = [node for node in view["nodes"] if node["state"] == "alive" and node["figures"]]
            if not view["serving"] or len(alive) != len(self.nodes):
                return False
        return sum(node["figures"]["shards_owned"] for node in alive) == view["shard_count"]

    def wait_whole(self):
        eventually(self.whole, "all nodes serve and own their shards")

    def log_tails(self):
        text = ""
        for path in sorted(pathlib.Path(self.folder).rglob("*.log")):
            if path.stem.isdigit() or not path.is_file():
                continue  # RocksDB's.
            lines = path.read_text(errors="replace").splitlines()
            text += f"--- the end of {path}\n" + "\n".join(lines[-LOG_LINES:]) + "\n"
        return text


class ClusterTest(unittest.TestCase):
    """Tests that share one cluster of three."""

    cluster = None

    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster(3)

    @classmethod
    def tearDownClass(cls):
        cls.cluster.stop()

    def run(self, result=None):
        result = result or self.defaultTestResult()
        bad = len(result.failures) + len(result.errors)
        super().run(result)
        if len(result.failures) + len(result.errors) > bad:
            print(f"=== {self.id()} failed\n{self.cluster.log_tails()}", file=sys.stderr)
        return result


def main():
    unittest.main(verbosity=2)
