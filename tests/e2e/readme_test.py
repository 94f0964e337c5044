"""The README's transcript does what it shows when it is pasted into a shell."""

import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

from cluster import SHOAL, main

README = pathlib.Path(__file__).resolve().parents[2] / "README.md"
BUILD = re.compile(r"tools/setup|export PATH=")  # What ctest has done already.


def transcript():
    """Pairs of a command and the lines it prints, or None where the text shows none."""
    block = re.search(r"^```sh\n(.*?)^```$", README.read_text(encoding="utf-8"), re.M | re.S)[1]
    steps = []
    for line in block.splitlines():
        if line.startswith("# "):
            command, shown = steps[-1]
            steps[-1] = (command, (shown or []) + [line.removeprefix("# ")])
        elif line.strip():
            steps.append((line, None))
    return steps


class Readme(unittest.TestCase):
    def test_the_transcript_works_as_shown(self):
        steps = transcript()
        self.assertGreater(len(steps), 8)
        self.assertTrue(BUILD.match(steps[0][0]) and BUILD.match(steps[1][0]), steps[:2])
        steps = steps[2:]
        folder = tempfile.mkdtemp(prefix="shoal-readme-")
        environment = {key: value for key, value in os.environ.items() if key != "SHOAL_ADDR"}
        environment["XDG_STATE_HOME"] = folder  # No cluster of the user's is touched.
        environment["PATH"] = os.path.dirname(SHOAL) + ":" + environment["PATH"]
        script = "set -e\n" + "".join(f"echo '@@ {i}'\n{command}\n"
                                      for i, (command, _) in enumerate(steps))
        try:
            done = subprocess.run(["bash", "-c", script], capture_output=True, env=environment,
                                  timeout=120, check=False, text=True)
        finally:
            subprocess.run([SHOAL, "dev", "stop"], env=environment, capture_output=True,
                           timeout=60, check=False)
            shutil.rmtree(folder, ignore_errors=True)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        printed = re.split(r"^@@ \d+\n", done.stdout, flags=re.M)[1:]
        self.assertEqual(len(printed), len(steps))
        for (command, shown), output in zip(steps, printed):
            if shown is not None:
                self.assertEqual(output.splitlines(), shown, command)


if __name__ == "__main__":
    main()
