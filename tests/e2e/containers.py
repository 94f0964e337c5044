"""Clusters of containers, brought up by this tree's docker-compose.yml as its readers would.

The image holds the programs under test (SHOAL_BIN). A project has a name of its own and is taken
down with everything in it, whatever becomes of the test.
"""

import json
import os
import pathlib
import secrets
import subprocess
import sys

from cluster import SHOAL, eventually, shoal

ROOT = pathlib.Path(__file__).resolve().parents[2]
IMAGE = "shoal-e2e"
PATIENCE = 90
LOG_LINES = 40


def command(*words, timeout=PATIENCE, env=None, check=True):
    """Runs a program to its end; streams are text."""
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True,
                          timeout=timeout, env={**os.environ, **(env or {})}, check=False,
                          stdin=subprocess.DEVNULL)
    if check and done.returncode != 0:
        raise AssertionError(f"{words}: status {done.returncode}\n{done.stdout[-2000:]}\n"
                             f"{done.stderr[-4000:]}")
    return done


def docker(*words, **options):
    return command("docker", *words, **options).stdout.strip()


def compose_words():
    """The plugin where it is installed, else docker-compose."""
    plugin = command("docker", "compose", "version", check=False)
    return ["docker", "compose"] if plugin.returncode == 0 else ["docker-compose"]


def build_image():
    if command("docker", "info", check=False).returncode != 0:
        raise AssertionError("no Docker engine answers; tools/test starts one where it may")
    command(ROOT / "tools/docker/image", "--built", os.path.dirname(os.path.abspath(SHOAL)), IMAGE,
            timeout=400)


class Project:
    """docker-compose's cluster, its nodes numbered from 1."""

    def __init__(self, nodes):
        self.name = "shoal-e2e-" + secrets.token_hex(4)
        self.image = IMAGE
        self.words = [*compose_words(), "-f", str(ROOT / "docker-compose.yml"), "-p", self.name]
        try:
            self.scale(nodes)
        except BaseException:
            self.down()
            raise

    def compose(self, *words, **options):
        return command(*self.words, *words, env={"SHOAL_IMAGE": self.image}, timeout=2 * PATIENCE,
                       **options)

    def scale(self, nodes):
        self.compose("up", "-d", "--no-build", "--scale", f"node={nodes}")

    def down(self):
        self.compose("down", "--volumes", check=False)

    def label(self):
        return f"label=com.docker.compose.project={self.name}"

    def ids(self):
        """Number -> container id, also of those that do not run."""
        ids = docker("ps", "-aq", "--filter", self.label()).split()
        rows = json.loads(docker("inspect", *ids)) if ids else []
        return {int(row["Config"]["Labels"]["com.docker.compose.container-number"]): row["Id"]
                for row in rows}

    def id(self, number):
        return self.ids()[number]

    def inspect(self, number):
        return json.loads(docker("inspect", self.id(number)))[0]

    def network(self):
        return docker("network", "ls", "-q", "--filter", self.label())

    def ip(self, number):
        """Empty while it has none."""
        networks = self.inspect(number)["NetworkSettings"]["Networks"].values()
        return next(iter(networks))["IPAddress"] if networks else ""

    def volumes(self, number):
        return [mount["Name"] for mount in self.inspect(number)["Mounts"]]

    def published(self, number):
        """Where this machine reaches the node."""
        ports = self.inspect(number)["NetworkSettings"]["Ports"]["7461/tcp"]
        return f"{ports[0]['HostIp']}:{ports[0]['HostPort']}"

    def inside(self, number, *words, check=True):
        return command("docker", "exec", self.id(number), *words, check=check)

    def host(self, number, *words, timeout=PATIENCE):
        """The program on this machine, through the node's published port."""
        return shoal(*words, env={"SHOAL_ADDR": self.published(number)}, timeout=timeout)

    def good(self, number, *words, timeout=PATIENCE):
        done = self.host(number, *words, timeout=timeout)
        if done.returncode != 0:
            raise AssertionError(f"shoal {words}: status {done.returncode}\n{done.stdout[-2000:]}\n"
                                 f"{done.stderr[-2000:]}\n{self.log_tails()}")
        return done.stdout.decode()

    def members(self, number):
        """Short container id -> the member's row, as the node tells; empty when it does not."""
        done = self.inside(number, "shoal", "nodes", "--json", check=False)
        if done.returncode != 0:
            return {}
        return {row["name"]: row for row in json.loads(done.stdout)["nodes"]}

    def whole(self):
        """Each sees all of them alive, where they are."""
        expected = {id[:12]: f"{self.ip(number)}:7461" for number, id in self.ids().items()}
        for number in self.ids():
            seen = {name: row["address"] for name, row in self.members(number).items()
                    if row["state"] == "alive"}
            if seen != expected:
                return False
        return True

    def wait_whole(self):
        try:
            eventually(self.whole, "all containers see all others where they are", PATIENCE)
        except AssertionError:
            print(self.log_tails(), file=sys.stderr)
            raise

    def log_tails(self):
        text = ""
        for number, id in sorted(self.ids().items()):
            done = command("docker", "logs", "--tail", LOG_LINES, id, check=False)
            text += f"--- node {number} ({id[:12]})\n{done.stdout}{done.stderr}"
        return text
