"""What does not belong there: wrong flags, folders and ports, and peers that send rubbish."""

import os
import random
import shutil
import socket
import struct
import subprocess
import tempfile
import time
import unittest

from cluster import SHOAL, ClusterTest, free_port, main, shoal

HELLO, MESSAGES, CLIENT_MESSAGES = 1, 2, 3


def header(kind, size, checksum=0, magic=b"shl1"):
    """A frame's header as wire/frame.hpp lays it out."""
    return magic + struct.pack("<BxxxII", kind, size, checksum)


class Peers(ClusterTest):
    """After each of these the node answers as before, and so do the others."""

    def setUp(self):
        host, _, port = self.cluster.nodes[0]["address"].rpartition(":")
        self.address = (host, int(port))
        self.pids = [node["pid"] for node in self.cluster.ps()]

    def tearDown(self):
        self.assertEqual(self.cluster.good("run", "--", "echo", "alive", at=0), "alive\n")
        self.assertEqual([node["pid"] for node in self.cluster.ps()], self.pids)

    def send(self, data):
        """Sends it on a connection of its own, and waits until the node hangs up."""
        with socket.create_connection(self.address, timeout=30) as peer:
            try:
                peer.sendall(data)
                while peer.recv(65536):
                    pass
            except (ConnectionResetError, BrokenPipeError):
                pass

    def test_garbage_is_hung_up_on(self):
        noise = random.Random(7)
        for size in (16, 17, 1000, 200_000):
            self.send(noise.randbytes(size))
        self.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")

    def test_frames_longer_than_allowed_are_hung_up_on(self):
        for size in (513, 1 << 20, 0xFFFFFFFF):
            self.send(header(HELLO, size))
        self.send(header(MESSAGES, 64) + b"\0" * 64)
        self.send(header(9, 8) + b"\0" * 8)
        self.send(header(HELLO, 64) + b"\0" * 64)

    def test_a_frame_that_never_ends_holds_nobody_up(self):
        peers = [socket.create_connection(self.address, timeout=30) for _ in range(20)]
        try:
            for number, peer in enumerate(peers):
                peer.sendall(header(HELLO, 512)[: 1 + number] if number < 16 else
                             header(HELLO, 512) + b"\1" * number)
            time.sleep(0.5)
            for peer in peers:
                try:
                    peer.sendall(b"\1")
                except OSError:
                    pass
            self.assertEqual(self.cluster.good("run", "--", "echo", "on", at=0), "on\n")
        finally:
            for peer in peers:
                peer.close()

    def test_datagrams_of_rubbish_change_nothing(self):
        noise = random.Random(8)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
            for size in range(0, 1400, 7):
                peer.sendto(noise.randbytes(size), self.address)
                peer.sendto(b"shd1" + noise.randbytes(size), self.address)
        view = self.cluster.json("nodes", at=0)
        self.assertEqual([node["state"] for node in view["nodes"]], ["alive"] * 3)

    def test_connections_that_come_and_go_are_harmless(self):
        for _ in range(200):
            socket.create_connection(self.address, timeout=30).close()


def log_of(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


class Nodes(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="shoal-e2e-")
        self.nodes = []

    def tearDown(self):
        for node in self.nodes:
            node.terminate()
            node.communicate(timeout=60)
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self, data, port):
        """A node in the background, once it serves."""
        log = os.path.join(self.folder, f"{port}.log")
        with open(log, "wb") as out:
            node = subprocess.Popen([SHOAL, "node", "--listen", f"127.0.0.1:{port}", "--data", data],
                                    stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        self.nodes.append(node)
        for _ in range(300):
            done = shoal("nodes", "-q", env={"SHOAL_ADDR": f"127.0.0.1:{port}"})
            if done.returncode == 0:
                return node
            self.assertIsNone(node.poll(), log_of(log))
            time.sleep(0.1)
        self.fail("the node does not serve: " + log_of(log))

    def refused(self, said, *words, status=None):
        done = shoal("node", *words, timeout=60)
        self.assertGreater(done.returncode, 0, done.stderr)
        if status is not None:
            self.assertEqual(done.returncode, status, done.stderr)
        text = done.stderr.decode(errors="replace")
        self.assertIn(str(said), text)
        self.assertNotIn("assert", text.lower())

    def test_a_data_folder_and_a_port_belong_to_one_node(self):
        data = os.path.join(self.folder, "data")
        port = free_port()
        self.start(data, port)
        self.refused(data, "--listen", f"127.0.0.1:{free_port()}", "--data", data)
        self.refused(port, "--listen", f"127.0.0.1:{port}", "--data",
                     os.path.join(self.folder, "other"))

    def test_a_data_folder_that_cannot_be_used_is_named(self):
        path = os.path.join(self.folder, "file")
        with open(path, "wb") as file:
            file.write(b"no folder")
        listen = ["--listen", f"127.0.0.1:{free_port()}", "--data"]
        self.refused(path, *listen, path)
        self.refused("/proc/nowhere", *listen, "/proc/nowhere/data")
        if os.geteuid() != 0:
            closed = os.path.join(self.folder, "closed")
            os.mkdir(closed, 0o000)
            self.refused(closed, *listen, closed)

    def test_a_damaged_store_is_refused_with_a_sentence(self):
        data = os.path.join(self.folder, "data")
        node = self.start(data, free_port())
        node.terminate()
        node.communicate(timeout=60)
        self.nodes.remove(node)
        damaged = 0
        for folder, _, names in os.walk(data):
            if "CURRENT" in names:
                with open(os.path.join(folder, "CURRENT"), "wb") as file:
                    file.write(b"\xff rubbish \0\n")
                damaged += 1
        self.assertEqual(damaged, 1, "the store's folder is found")
        self.refused("damaged", "--listen", f"127.0.0.1:{free_port()}", "--data", data)

    def test_wrong_flags_are_status_2_and_named(self):
        self.refused("banana", "--cpus", "banana", status=2)
        self.refused("12XB", "--mem", "12XB", status=2)
        self.refused("moon", "--profile", "moon", status=2)
        self.refused("--listen", "--lisen", "127.0.0.1:7", status=2)
        self.refused("nowhere", "--listen", "nowhere", status=2)


if __name__ == "__main__":
    main()
