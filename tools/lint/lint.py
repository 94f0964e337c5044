#!/usr/bin/env python3
"""Checks the tree: lint.py ROOT (house rules), lint.py --format ROOT (clang-format)."""

import os
import re
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import rules  # noqa: E402

FOLDERS = ["include", "src", "tests", "tools"]
SUFFIXES = (".hpp", ".cpp", ".capnp")


def tree(root):
    """All paths to check, from the root."""
    found = []
    for top in FOLDERS:
        for folder, _, names in os.walk(os.path.join(root, top)):
            for name in names:
                if name.endswith(SUFFIXES):
                    found.append(os.path.relpath(os.path.join(folder, name), root))
    return sorted(path.replace(os.sep, "/") for path in found)


def read(root, path):
    with open(os.path.join(root, path), encoding="utf-8") as file:
        return file.read()


def repeated_tests(files):
    """ctest runs a test by its name: two with one name are one."""
    seen = {}
    for file in files:
        for match in re.finditer(r'\bTEST_CASE\(\s*"([^"]*)"\s*\)', file.text):
            if match[1] in seen:
                number = file.text.count("\n", 0, match.start()) + 1
                yield f'{file.path}:{number}: [test-names] "{match[1]}" is also in {seen[match[1]]}'
            seen[match[1]] = file.path


def check_rules(root):
    paths = tree(root)
    cmake = read(root, "CMakeLists.txt")
    files = [rules.File(path, read(root, path), cmake, set(paths)) for path in paths]
    problems = []
    for file in files:
        for number, rule, message in rules.check(file):
            problems.append(f"{file.path}:{number}: [{rule}] {message}")
    problems.extend(repeated_tests(files))
    print("\n".join(problems) if problems else f"{len(files)} files keep the house rules")
    return 1 if problems else 0


def check_format(root):
    paths = [path for path in tree(root) if not path.endswith(".capnp")]
    try:
        return subprocess.run(["clang-format-19", "--dry-run", "--Werror", *paths],
                              cwd=root, check=False).returncode
    except FileNotFoundError:
        print("clang-format-19 is not installed; run tools/setup")
        return 1


def main(arguments):
    if len(arguments) == 2 and arguments[0] == "--format":
        return check_format(arguments[1])
    if len(arguments) == 1 and not arguments[0].startswith("-"):
        return check_rules(arguments[0])
    print(__doc__)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
