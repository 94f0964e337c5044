#!/usr/bin/env python3
"""Shows that each rule fires: a rule that has never failed proves nothing."""

import os
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lint  # noqa: E402
import rules  # noqa: E402

GOOD_HEADER = "// What it is.\n#pragma once\n\n"

# (rule, path, text): each must be reported for exactly that rule.
BAD = [
    ("floors", "src/shard/a.hpp", GOOD_HEADER + '#include "ring/ring.hpp"\n'),
    ("floors", "src/base/a.hpp", GOOD_HEADER + '#include "wire/frame.hpp"\n'),
    ("floors", "src/node/a.hpp", GOOD_HEADER + '#include "net/transport.hpp"\n'),
    ("floors", "src/http/a.cpp", '#include "node/node.hpp"\n'),
    ("floors", "include/shoal/a.hpp", GOOD_HEADER + '#include "base/time.hpp"\n'),
    ("floors", "src/base/a.cpp", '#include "../base/b.hpp"\n'),
    ("floors", "src/base/a.cpp", '#include "b.hpp"\n'),
    ("floors", "src/magic/a.cpp", "int x;\n"),
    ("tools", "tools/chaos/a.cpp", '#include "shard/replica.hpp"\n'),
    ("libraries", "src/wire/a.hpp", GOOD_HEADER + "#include <capnp/message.h>\n"),
    ("libraries", "src/node/a.cpp", '#include "wire/message.capnp.h"\n'),
    ("libraries", "src/shard/a.cpp", "#include <rocksdb/db.h>\n"),
    ("libraries", "src/shard/a.cpp", "#include <asio.hpp>\n"),
    ("libraries", "include/shoal/a.hpp", GOOD_HEADER + "#include <asio/io_context.hpp>\n"),
    ("libraries", "src/base/b.hpp", GOOD_HEADER + "#include <fmt/core.h>\n"),
    ("libraries", "src/base/a.cpp", "#include <spdlog/spdlog.h>\n"),
    ("libraries", "src/base/a.hpp", GOOD_HEADER + "#include <xxhash.h>\n"),
    ("libraries", "src/net/a.cpp", "#include <sodium.h>\n"),
    ("libraries", "src/daemon/a.cpp", "#include <nlohmann/json.hpp>\n"),
    ("libraries", "src/base/a.cpp", "#include <doctest/doctest.h>\n"),
    ("libraries", "src/daemon/a.cpp", "#include <CLI/CLI.hpp>\n"),
    ("determinism", "src/node/a.cpp", "#include <thread>\n"),
    ("determinism", "src/shard/a.cpp", "#include <random>\n"),
    ("determinism", "src/sim/a.cpp", "#include <atomic>\n"),
    ("determinism", "src/base/a.cpp", "auto x = std::random_device{}();\n"),
    ("determinism", "src/ring/a.cpp", "auto x = std::mt19937_64{};\n"),
    ("determinism", "src/task/a.cpp", "std::uniform_int_distribution<int> d;\n"),
    ("determinism", "src/node/a.cpp", "auto x = rand();\n"),
    ("determinism", "src/node/a.cpp", "auto t = BootClock::now();\n"),
    ("determinism", "src/node/a.cpp", "auto t = time(nullptr);\n"),
    ("determinism", "include/shoal/a.hpp", GOOD_HEADER + "inline std::mutex m;\n"),
    ("determinism", "src/wire/a.cpp", "auto h = std::hash<int>{}(1);\n"),
    ("determinism", "src/node/a.cpp", "std::map<const Peer*, int> peers;\n"),
    ("determinism", "src/node/a.cpp", 'auto home = getenv("HOME");\n'),
    ("determinism", "src/node/a.cpp", "std::shared_ptr<int> x;\n"),
    ("unordered", "src/shard/a.cpp",
     "std::unordered_map<int, int> seen;\nvoid f() { for (auto& each : seen) use(each); }\n"),
    ("floating-point", "src/ring/a.cpp", "double share = 0;\n"),
    ("spellings", "src/cli/a.cpp", "using namespace std;\n"),
    ("spellings", "src/net/a.cpp", "auto f = [=] { return x; };\n"),
    ("spellings", "src/net/a.cpp", "auto* x = new Thing();\n"),
    ("spellings", "src/net/a.cpp", "void f() { delete x; }\n"),
    ("spellings", "src/net/a.cpp", "auto* x = malloc(7);\n"),
    ("spellings", "src/net/a.cpp", "void f() { assert(true); }\n"),
    ("spellings", "src/net/a.cpp", "#include <format>\n"),
    ("spellings", "src/net/a.cpp", "void f() { throw 7; }\n"),
    ("words", "src/net/a.cpp", "// FIX" + "ME: later\n"),
    ("words", "src/net/a.cpp", "// XX" + "X\n"),
    ("words", "src/net/a.cpp", "// Good enough for" + " now.\n"),
    ("words", "src/wire/a.capnp", "# TO" + "DO: more\n"),
    ("roles", "src/shard/a.cpp", "int shard_leader = 0;\n"),
    ("roles", "src/shard/a.cpp", "struct MasterNode;\n"),
    ("roles", "src/shard/a.cpp", "void elect_coordinator();\n"),
    ("catching", "src/shard/a.cpp", "void f() { try { g(); } catch (...) { } }\n"),
    ("coroutines", "src/store/a.cpp", "Task f() { co_await g(); }\n"),
    ("printing", "src/net/a.cpp", "void f() { std::cerr << 1; }\n"),
    ("header", "src/net/a.hpp", "// What it is.\nint x;\n"),
    ("header", "src/net/a.hpp", "#pragma once\n// Too late.\n"),
    ("own-header", "src/ring/ring.cpp", '#include <vector>\n\n#include "ring/ring.hpp"\n'),
    ("names", "src/net/helpers/a.cpp", "int x;\n"),
    ("names", "src/net/Listener.cpp", "int x;\n"),
    ("names", "src/net/util.cpp", "int x;\n"),
    ("sizes", "src/net/a.hpp", GOOD_HEADER + "int x;\n" * 250),
    ("sizes", "src/net/a.cpp", "int x;\n" * 601),
    ("sizes", "tests/net/a_test.cpp", "int x;\n" * 801),
    ("sizes", "src/net/a.cpp", "// " + "x" * 98 + "\n"),
    ("functions", "src/net/a.cpp", "void f(int a,\n       int b) {\n" + "  g();\n" * 68 + "}\n"),
    ("functions", "src/net/a.cpp",
     "struct A {\n  void f() {\n" + "    g();\n" * 69 + "  }\n};\n"),
    ("test-names", "tests/net/a_test.cpp", 'TEST_CASE("works") {}\n'),
    ("test-names", "tests/net/a_test.cpp", 'TEST_CASE("net: it works.") {}\n'),
    ("test-names", "tests/net/a_test.cpp", 'TEST_CASE("net: one; two") {}\n'),
    ("listed", "src/net/forgotten.cpp", "int x;\n"),
]

# (path, text): nothing to report.
GOOD = [
    ("src/node/b.cpp", '#include "node/b.hpp"\n\n#include <vector>\n\n#include "ring/ring.hpp"\n'),
    ("src/base/log.cpp", "#include <atomic>\nstd::mutex m;\n"),
    ("src/net/a.cpp", "#include <asio.hpp>\n#include <thread>\nTask f() { co_await g(); }\n"),
    ("src/net/a.cpp", '// A new leader: "delete x" and throw, said in a comment.\n'),
    ("src/net/a.cpp", 'auto text = "new x; delete y; std::cout; master";\n'),
    ("src/net/a.cpp", 'auto text = R"(new x; "master" throw)";\n'),
    ("src/net/a.cpp", "struct A { A(const A&) = delete; };\nauto x = 10'000'000 + 'a';\n"),
    ("src/shard/a.cpp", "std::unordered_map<int, int> seen;\nvoid f() { seen.find(1); }\n"),
    ("src/shard/a.cpp",
     "// lint-allow(determinism): a reason.\nauto t = BootClock::now();\n"),
    ("src/net/a.cpp", "void f() {\n" + "  g();\n" * 68 + "}\n"),
    ("src/net/a.cpp", "struct A {\n" + "  int x;\n" * 80 + "};\n"),
    ("src/net/a.cpp", "namespace a {\n" + "int x;\n" * 80 + "}  // namespace a\n"),
    ("tests/net/a_test.cpp", 'TEST_CASE("net: a full queue is told to the caller") {}\n'),
    ("tests/store/a_test.cpp", "#include <rocksdb/db.h>\n"),
    ("src/node/a.cpp", "struct A { int free() const; };\n"),
    ("tools/chaos/a.cpp", '#include "shoal/client.hpp"\n'),
]

SIBLINGS = {"src/ring/ring.hpp", "src/node/b.hpp"}


def reported(path, text):
    name = path.split("/")[-1]
    cmake = "" if name == "forgotten.cpp" else f"{name} {path}"
    return [rule for _, rule, _ in rules.check(rules.File(path, text, cmake, SIBLINGS))]


class LintTest(unittest.TestCase):
    def test_each_bad_file_is_reported_for_its_rule_alone(self):
        for rule, path, text in BAD:
            with self.subTest(rule=rule, path=path, text=text[:80]):
                self.assertEqual(set(reported(path, text)), {rule})

    def test_every_rule_has_a_file_that_breaks_it(self):
        self.assertEqual({rule for rule, _, _ in BAD}, set(rules.RULES))

    def test_good_files_are_not_reported(self):
        for path, text in GOOD:
            with self.subTest(path=path, text=text[:80]):
                self.assertEqual(reported(path, text), [])

    def test_an_exception_needs_a_reason_and_the_right_rule(self):
        line = "auto t = BootClock::now();\n"
        self.assertEqual(reported("src/shard/a.cpp", f"// lint-allow(determinism):\n{line}"),
                         ["determinism"])
        self.assertEqual(reported("src/shard/a.cpp", f"// lint-allow(sizes): why.\n{line}"),
                         ["determinism"])

    def test_line_numbers_survive_comments_and_literals(self):
        text = '/* two\nlines */\nauto a = R"(x\ny)";\nauto* b = new int(1);\n'
        [problem] = rules.check(rules.File("src/net/a.cpp", text, "a.cpp"))
        self.assertEqual(problem[0], 5)

    def test_the_program_fails_on_a_bad_tree_and_passes_a_good_one(self):
        with tempfile.TemporaryDirectory() as root:
            os.makedirs(os.path.join(root, "src/net"))
            for name, text in [("CMakeLists.txt", "a.cpp"), ("src/net/a.cpp", "int x;\n")]:
                with open(os.path.join(root, name), "w", encoding="utf-8") as file:
                    file.write(text)
            self.assertEqual(lint.main([root]), 0)
            self.assertEqual(lint.main(["--format", root]), 0)
            with open(os.path.join(root, "src/net/a.cpp"), "w", encoding="utf-8") as file:
                file.write("int   x = assert ( 1 ) ;\n")
            self.assertEqual(lint.main([root]), 1)
            self.assertNotEqual(lint.main(["--format", root]), 0)

    def test_two_tests_with_one_name_are_reported(self):
        text = 'TEST_CASE("net: a sentence that is true") {}\n'
        files = [rules.File(f"tests/net/{name}_test.cpp", text) for name in "ab"]
        self.assertEqual(len(list(lint.repeated_tests(files))), 1)


if __name__ == "__main__":
    unittest.main()
