"""A cluster whose nodes live in network namespaces of their own, joined by a bridge whose ports can
be cut. Needs root and iproute2. Nothing outside these namespaces is touched."""

import json
import os
import pathlib
import shutil
import subprocess
import tempfile

from cluster import LOG_LINES, PATIENCE, SHOAL, eventually

PORT = 7461


def ip(*words):
    subprocess.run(["ip", *map(str, words)], check=True, capture_output=True)


def why_not():
    """Why no namespaces can be made here; empty when they can."""
    name = f"shoal{os.getpid()}try"
    try:
        ip("netns", "add", name)
        ip("-n", name, "link", "add", "bridge0", "type", "bridge")
    except FileNotFoundError:
        return "iproute2 is not installed"
    except subprocess.CalledProcessError as error:
        return f"{' '.join(error.cmd)}: {error.stderr.decode(errors='replace').strip()}"
    finally:
        if shutil.which("ip"):
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)
    return ""


class NamespaceCluster:
    """`nodes` of them, founded together; the client speaks from the bridge's namespace."""

    def __init__(self, nodes, *options, cpus=2):
        self.folder = tempfile.mkdtemp(prefix="shoal-e2e-")
        self.hub = f"shoal{os.getpid()}h"
        self.spaces = [f"shoal{os.getpid()}n{i}" for i in range(nodes)]
        self.processes = [None] * nodes
        self.options = options
        self.cpus = cpus
        ip("netns", "add", self.hub)
        self.hub_ip("link", "add", "bridge0", "type", "bridge")
        self.hub_ip("addr", "add", "10.77.0.254/24", "dev", "bridge0")
        self.hub_ip("link", "set", "bridge0", "up")
        self.hub_ip("link", "set", "lo", "up")
        for index, space in enumerate(self.spaces):
            ip("netns", "add", space)
            ip("-n", space, "link", "add", "eth0", "type", "veth", "peer", "name", f"port{index}",
               "netns", self.hub)
            ip("-n", space, "addr", "add", f"{self.address(index)}/24", "dev", "eth0")
            ip("-n", space, "link", "set", "eth0", "up")
            ip("-n", space, "link", "set", "lo", "up")
            self.hub_ip("link", "set", f"port{index}", "master", "bridge0")
            self.hub_ip("link", "set", f"port{index}", "up")
        for index in range(nodes):
            self.start(index)

    def hub_ip(self, *words):
        ip("-n", self.hub, *words)

    def name(self, index):
        return f"n{index}"

    def address(self, index):
        return f"10.77.0.{index + 1}"

    def start(self, index):
        count = len(self.spaces)
        joins = [word for other in range(count) if other != index
                 for word in ("--join", f"{self.address(other)}:{PORT}")]
        with open(f"{self.folder}/n{index}.log", "a", encoding="utf-8") as log:
            self.processes[index] = subprocess.Popen(
                ["ip", "netns", "exec", self.spaces[index], SHOAL, "node", "--listen",
                 f"{self.address(index)}:{PORT}", "--name", self.name(index), "--data",
                 f"{self.folder}/n{index}", "--expect", str(count), "--cpus", str(self.cpus),
                 "--end-tasks", *joins, *map(str, self.options)],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log)

    def kill(self, index):
        self.processes[index].kill()
        self.processes[index].wait()

    def cut(self, index):
        """As when the host's cable is pulled: nothing is refused, nothing arrives."""
        self.hub_ip("link", "set", f"port{index}", "down")

    def mend(self, index):
        self.hub_ip("link", "set", f"port{index}", "up")

    def split(self, left):
        """The nodes of `left` see only each other, so do the others (and the client)."""
        self.hub_ip("link", "add", "bridge1", "type", "bridge")
        self.hub_ip("link", "set", "bridge1", "up")
        for index in left:
            self.hub_ip("link", "set", f"port{index}", "master", "bridge1")

    def heal(self, left):
        for index in left:
            self.hub_ip("link", "set", f"port{index}", "master", "bridge0")
        self.hub_ip("link", "del", "bridge1")

    def environment(self, at=None):
        indices = range(len(self.spaces)) if at is None else [at] if isinstance(at, int) else at
        return {"SHOAL_ADDR": ",".join(f"{self.address(i)}:{PORT}" for i in indices)}

    def run(self, *words, at=None, timeout=PATIENCE, stdin=b""):
        environment = {**os.environ, **self.environment(at)}
        return subprocess.run(["ip", "netns", "exec", self.hub, SHOAL, *map(str, words)],
                              input=stdin, capture_output=True, env=environment, timeout=timeout,
                              check=False)

    def good(self, *words, **options):
        done = self.run(*words, **options)
        if done.returncode != 0:
            raise AssertionError(f"shoal {words}: status {done.returncode}\n"
                                 f"stdout: {done.stdout[-2000:]}\nstderr: {done.stderr[-2000:]}")
        return done.stdout.decode()

    def json(self, *words, **options):
        return json.loads(self.good(*words, "--json", **options))

    def submit(self, *words, **options):
        return self.good("submit", "-q", *words, **options).strip()

    def whole(self):
        done = self.run("nodes", "--json")
        if done.returncode != 0:
            return False
        view = json.loads(done.stdout)
        alive = [node for node in view["nodes"] if node["state"] == "alive" and node["figures"]]
        return (view["serving"] and len(alive) == len(self.spaces) and
                sum(node["figures"]["shards_owned"] for node in alive) == view["shard_count"])

    def wait_whole(self):
        eventually(self.whole, "all nodes serve and own their shards")

    def stop(self):
        for process in self.processes:
            if process and process.poll() is None:
                process.terminate()
        for process in self.processes:
            if process:
                try:
                    process.wait(timeout=20)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
        for space in [*self.spaces, self.hub]:
            subprocess.run(["ip", "netns", "del", space], check=False, capture_output=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    def log_tails(self):
        text = ""
        for path in sorted(pathlib.Path(self.folder).glob("n*.log")):
            lines = path.read_text(errors="replace").splitlines()
            text += f"--- the end of {path}\n" + "\n".join(lines[-LOG_LINES:]) + "\n"
        return text
