"""The house rules that a program can check. Each rule yields (line, message) for one file.

A line may break a rule for a reason that is written beside it: a comment `lint-allow(RULE): reason`
on the line itself or on the one above.
"""

import re
from dataclasses import dataclass, field
from pathlib import PurePosixPath

# Floors: what the files of a folder may include besides themselves and include/shoal.
DETERMINISTIC = ["base", "ring", "task", "wire", "membership", "shard", "scheduling", "node"]
ALL = DETERMINISTIC + ["crypto", "jobfile", "net", "store", "exec", "http", "sim", "client",
                       "daemon", "cli"]
MAY_INCLUDE = {
    "shoal": [],
    "base": [],
    "crypto": ["base"],
    "ring": ["base"],
    "task": ["base"],
    "wire": ["base", "task"],
    "jobfile": ["base", "task"],
    "membership": ["base", "wire"],
    "shard": ["base", "task", "wire"],
    "scheduling": ["base", "task", "wire"],
    "node": ["base", "ring", "task", "wire", "membership", "shard", "scheduling"],
    "net": ["base", "crypto", "wire"],
    "store": ["base", "task", "wire"],
    "exec": ["base", "task", "wire"],
    "http": ["base"],
    "sim": DETERMINISTIC,
    "client": ["base", "crypto", "task", "wire", "net"],
    "daemon": [name for name in ALL if name not in ("sim", "client", "cli")],
    "cli": ["base", "jobfile", "daemon", "sim", "exec"],
}

# Third-party headers: each library's homes, as patterns of paths.
ASIO_HOMES = [r"include/shoal/client\.hpp", r"src/(net|exec|http|client|daemon|cli)/", r"tools/"]
LIBRARY_HOMES = [
    ("Asio", r"asio(\.hpp|/)", ASIO_HOMES),
    ("spdlog", r"spdlog/", [r"src/base/log\.cpp$"]),
    ("fmt", r"fmt/", [r"src/base/format\.hpp$"]),
    ("xxHash", r"xxhash", [r"src/base/.*\.cpp$"]),
    ("libsodium", r"sodium", [r"src/crypto/"]),
    ("Cap'n Proto", r"(capnp|kj)/|.*\.capnp\.h$",
     [r"src/wire/.*\.cpp$", r"src/wire/(codec_parts|codec_types|kj_shim)\.hpp$"]),
    ("RocksDB", r"rocksdb/", [r"src/store/"]),
    ("toml++", r"toml\+\+|toml\.hpp", [r"src/jobfile/.*\.cpp$", r"tools/"]),
    ("date", r"date/", [r"src/jobfile/.*\.cpp$"]),
    ("nlohmann", r"nlohmann/", [r"src/jobfile/.*\.cpp$", r"src/(http|cli)/", r"tools/"]),
    ("LEMON", r"lemon/", [r"src/scheduling/flow/.*\.cpp$"]),
    ("CLI11", r"CLI/", [r"src/cli/", r"tools/"]),
    ("doctest", r"doctest/", [r"tests/"]),
]

# Determinism: for `node` and whatever it may include. The simulator is held to it too.
DETERMINISM_EXEMPT = ["include/shoal/client.hpp", "src/base/log.cpp"]
BANNED_HEADERS = (r"(random|thread|mutex|shared_mutex|condition_variable|atomic|future|stop_token|"
                  r"semaphore|latch|barrier|iostream|fstream|filesystem|coroutine|ctime|time\.h|"
                  r"unistd\.h|sys/.*|netinet/.*|pthread\.h)$")
BANNED_IN_LOGIC = [
    (r"\brandom_device\b", "randomness is an argument: take a Random&"),
    (r"\b(mt19937(_64)?|minstd_rand0?|default_random_engine)\b", "use Random"),
    (r"\b\w+_distribution\b", "results differ between standard libraries: use Random"),
    (r"\b(rand|srand|drand48|random_shuffle)\s*\(", "use Random"),
    (r"\b\w*[cC]lock::now\b", "time is an argument"),
    (r"\b(clock_gettime|gettimeofday|time)\s*\(\s*(NULL|nullptr|0|CLOCK|&)", "time is an argument"),
    (r"\bstd::(jthread|thread|mutex|shared_mutex|atomic\w*|condition_variable|async|this_thread)\b",
     "the logic is single-threaded"),
    (r"\bthread_local\b", "the logic is single-threaded"),
    (r"\bstd::hash\b", "std::hash differs between libraries: use hash64()"),
    (r"\bstd::(unordered_)?(multi)?(map|set)<\s*(const\s+)?[\w:]+\s*(const\s*)?\*",
     "a pointer as a key orders by address"),
    (r"\bgetenv\s*\(", "the environment is the drivers' affair"),
    (r"\bstd::shared_ptr\b|\bmake_shared\b", "one owner each"),
]
EXACT_FOLDERS = ["base", "ring", "task", "wire", "shard"]

BANNED_EVERYWHERE = [
    (r"\busing\s+namespace\s+std\s*;", "name what you use"),
    (r"\[=[\],]", "capture by name"),
    (r"\bnew\s+[A-Za-z_:(]", "no `new`: use a value or std::make_unique"),
    (r"(?<!=)(?<!= )\bdelete\b(?!\s*;)", "no `delete`: let an owner do it"),
    (r"\b(malloc|calloc|realloc|std::free)\s*\(", "let an owner do it"),
    (r"(?<!_)\bassert\s*\(", "use SHOAL_ASSERT: it is always on"),
    (r"#\s*include\s*<(cassert|assert\.h)>", "use SHOAL_ASSERT: it is always on"),
    (r"#\s*include\s*<(format|print|flat_map)>", "libstdc++ 12 has none: use base/format.hpp"),
    (r"\bstd::endl\b", r"write '\n'"),
    (r"\b(throw|throw_exception)\b", "return a Result"),
]
# The commands speak to the cluster through the asynchronous client, so `cli` is among them.
COROUTINE_FOLDERS = ["net", "http", "exec", "client", "daemon", "cli"]
PRINTING = r"\bstd::(cout|cerr|clog)\b|\b(f|v|vf)?printf\s*\(|\bputs\s*\("
PRINTING_FOLDERS = ["cli", "daemon", "exec"]
BANNED_NAMES = r"\b\w*(master|leader|coordinator)\w*\b"
BANNED_WORDS = [
    (r"\bFIXME\b", "finish it, or write TODO(perf|security|test)"),
    (r"\b(XXX|HACK)\b", "say what is wrong in a sentence"),
    (r"\bTODO\b(?!\((perf|security|test)\):)", "write TODO(perf), TODO(security) or TODO(test)"),
    (r"\bfor now\b", "say what is, not what may come"),
    (r"\bplaceholder\b", "say what is, not what may come"),
]
BANNED_FOLDERS = r"^(util|utils|utility|utilities|common|helpers?|managers?|misc)$"

HEADER_LINES_MAX = 250
SOURCE_LINES_MAX = 600
TEST_LINES_MAX = 800
FUNCTION_LINES_MAX = 70
COLUMNS_MAX = 100


@dataclass
class File:
    path: str  # From the root, with slashes.
    text: str
    cmake: str = ""  # The root's CMakeLists.txt.
    siblings: set = field(default_factory=set)  # All paths of the tree.

    def __post_init__(self):
        self.lines = self.text.splitlines()
        self.code = strip(self.text).splitlines()  # Comments and literals are blank.
        parts = PurePosixPath(self.path).parts
        self.top = parts[0]
        self.folder = parts[1] if len(parts) > 2 else ""
        self.header = self.path.endswith(".hpp")
        self.cpp = self.path.endswith((".hpp", ".cpp"))

    @property
    def production(self):
        return self.cpp and self.top in ("src", "include")

    @property
    def logic(self):
        """True where the Determinism list holds."""
        if not self.production or self.path in DETERMINISM_EXEMPT:
            return False
        return self.top == "include" or self.folder in DETERMINISTIC or self.folder == "sim"

    def includes(self):
        for number, line in enumerate(self.lines, 1):
            match = re.match(r'\s*#\s*include\s*([<"])([^>"]+)[>"]', line)
            if match:
                yield number, match[1], match[2]

    def find(self, pattern, lines=None):
        for number, line in enumerate(self.code if lines is None else lines, 1):
            match = re.search(pattern, line)
            if match:
                yield number, match[0].strip()


LITERAL_OR_COMMENT = re.compile(
    r'R"(?P<mark>[^()\\\s]{0,16})\(.*?\)(?P=mark)"'
    r'|//[^\n]*|/\*.*?\*/'
    r'|"(?:\\.|[^"\\\n])*"'
    r"|(?<![0-9a-fA-F])'(?:\\.|[^'\\\n])+'", re.DOTALL)


def strip(text):
    """The text with comments and literals blanked out; lines keep their numbers."""
    def blank(match):
        newlines = "\n" * match[0].count("\n")
        return '""' + newlines if match[0][0] in 'R"' else newlines or " "
    kept = []
    for part in re.split(r"(^\s*#\s*include[^\n]*$)", text, flags=re.MULTILINE):
        kept.append(part if part.lstrip().startswith("#") else LITERAL_OR_COMMENT.sub(blank, part))
    return "".join(kept)


def floors(file):
    if not file.production:
        return
    folder = "shoal" if file.top == "include" else file.folder
    if folder not in MAY_INCLUDE:
        yield 1, f"folder '{folder}' has no row in the table of floors"
        return
    for number, mark, path in file.includes():
        if mark != '"' or path.endswith(".capnp.h"):
            continue
        target = path.split("/")[0]
        if "/" not in path or path.startswith("."):
            yield number, f'"{path}": paths start at src/ or include/'
        elif target not in (folder, "shoal") and target not in MAY_INCLUDE[folder]:
            yield number, f"{folder} may not include {target}"


def tools_are_outsiders(file):
    if file.top != "tools" or not file.cpp or "micro" in PurePosixPath(file.path).name:
        return
    for number, mark, path in file.includes():
        if mark == '"' and path.split("/")[0] not in ("shoal", "tools") and "/" in path:
            yield number, f"tools use include/shoal like any outside program, not {path}"


def libraries(file):
    if file.top == "tests":
        return
    for number, _, path in file.includes():
        for name, header, homes in LIBRARY_HOMES:
            if re.match(rf"(wire/)?({header})", path):
                if not any(re.match(home, file.path) for home in homes):
                    yield number, f"{name} has its home elsewhere: {', '.join(homes)}"


def determinism(file):
    if not file.logic:
        return
    for number, mark, path in file.includes():
        if mark == "<" and re.match(BANNED_HEADERS, path):
            yield number, f"<{path}> has no place in deterministic code"
    for pattern, instead in BANNED_IN_LOGIC:
        for number, found in file.find(pattern):
            yield number, f"'{found}': {instead}"


def unordered_iteration(file):
    if not file.logic:
        return
    names = set(re.findall(r"\bstd::unordered_\w+<[^;]*>\s+(\w+)\s*[;={]", "\n".join(file.code)))
    for name in names:
        for number, _ in file.find(rf"\bfor\s*\(.*:\s*{name}\)|\b{name}\.begin\(\)"):
            yield number, f"the order of '{name}' differs between libraries; sort, or use std::map"


def floating_point(file):
    if file.logic and (file.top == "include" or file.folder in EXACT_FOLDERS):
        for number, found in file.find(r"\b(float|double)\b"):
            yield number, f"'{found}': two nodes must compute this alike; count in integers"


def spellings(file):
    if not file.cpp:
        return
    for pattern, instead in BANNED_EVERYWHERE:
        for number, found in file.find(pattern):
            yield number, f"'{found}': {instead}"


def words(file):
    for pattern, instead in BANNED_WORDS:
        for number, found in file.find(pattern, file.lines):
            yield number, f"'{found}': {instead}"


def roles(file):
    if file.cpp:
        for number, found in file.find(f"(?i){BANNED_NAMES}"):
            yield number, f"'{found}': nobody has that role here; a shard has an owner"


def catching(file):
    if file.logic and file.folder != "wire":
        for number, _ in file.find(r"\bcatch\s*\("):
            yield number, "our own logic never catches; adapters catch what libraries throw"


def coroutines(file):
    exempt = file.folder in COROUTINE_FOLDERS or file.path in DETERMINISM_EXEMPT
    if file.production and not exempt:
        for number, found in file.find(r"\bco_(await|return|yield|spawn)\b"):
            yield number, f"'{found}': coroutines only in {', '.join(COROUTINE_FOLDERS)}"


def printing(file):
    exempt = file.folder in PRINTING_FOLDERS or file.path == "src/base/assert.cpp"
    if file.production and not exempt:
        for number, found in file.find(PRINTING):
            yield number, f"'{found}': log it, or return it"


def header_shape(file):
    if not file.header:
        return
    if not file.text.startswith("//"):
        yield 1, "a header opens with what it is, in a comment"
    if "#pragma once" not in file.lines:
        yield 1, "#pragma once is missing"


def own_header_first(file):
    if not file.production or file.header:
        return
    own = file.path.removeprefix("src/").removesuffix(".cpp") + ".hpp"
    if f"src/{own}" in file.siblings:
        for number, _, path in file.includes():
            if path != own:
                yield number, f'a source includes its own header first: "{own}"'
            return


def names(file):
    *folders, name = PurePosixPath(file.path).parts
    for folder in folders:
        if re.match(BANNED_FOLDERS, folder):
            yield 1, f"a folder is never '{folder}': name what it is about"
    if file.cpp and not re.match(r"^[a-z][a-z0-9_]*\.(hpp|cpp)$", name):
        yield 1, f"file names are snake_case, not '{name}'"
    if file.cpp and re.match(BANNED_FOLDERS, name.split(".")[0]):
        yield 1, f"a file is never '{name}': name what it is about"


def sizes(file):
    if not file.cpp:
        return
    limit = SOURCE_LINES_MAX
    if file.top == "tests":
        limit = TEST_LINES_MAX
    elif file.header:
        limit = HEADER_LINES_MAX
    if len(file.lines) > limit:
        yield limit + 1, f"{len(file.lines)} lines; at most {limit}: a module is missing"
    for number, line in enumerate(file.lines, 1):
        if len(line) > COLUMNS_MAX:
            yield number, f"{len(line)} columns; at most {COLUMNS_MAX}"


def functions(file):
    """A function starts at the nearest line above its closing brace that is not further in."""
    if not file.cpp or file.top == "tests":
        return
    for end, line in enumerate(file.code):
        match = re.match(r"^( *)\}\s*$", line)
        if not match or "namespace" in file.lines[end]:
            continue
        indent = len(match[1])
        start = end - 1
        while start > 0:
            text = file.code[start]
            if text.strip() and len(text) - len(text.lstrip()) <= indent:
                break
            start -= 1
        opening = file.code[start].lstrip()
        if re.match(r"(class|struct|enum|union|namespace|extern|TEST_CASE)\b", opening):
            continue
        length = end - start + 1
        if length > FUNCTION_LINES_MAX:
            yield start + 1, f"{length} lines in one function; at most {FUNCTION_LINES_MAX}"


def test_names(file):
    if file.top != "tests" or not file.cpp:
        return
    for match in re.finditer(r'\bTEST_CASE\(\s*((?:"(?:\\.|[^"\\])*"\s*)+)', file.text):
        name = "".join(re.findall(r'"((?:\\.|[^"\\])*)"', match[1]))
        number = file.text.count("\n", 0, match.start()) + 1
        if not re.match(r"^[a-z][a-z0-9_ -]*: \S.*[^.\s]$", name):
            yield number, f'"{name}": a test is named `area: a sentence that is true`'
        if re.search(r"[;*]|\[(?![^\]]*\])", name):
            yield number, f'"{name}": `;`, `*` and an open bracket confuse ctest'


def listed(file):
    """What CMakeLists.txt does not name is never compiled, and a test that is not never fails."""
    if not file.path.endswith(".cpp") or file.top not in ("src", "tests", "tools"):
        return
    parts = PurePosixPath(file.path).parts
    tail = "/".join(parts[2:]) if len(parts) > 2 and file.top != "tools" else file.path
    if not re.search(rf"(?<![\w]){re.escape(tail)}(?!\w)", file.cmake):
        yield 1, "CMakeLists.txt does not name this file: it is never compiled"


RULES = {
    "floors": floors,
    "tools": tools_are_outsiders,
    "libraries": libraries,
    "determinism": determinism,
    "unordered": unordered_iteration,
    "floating-point": floating_point,
    "spellings": spellings,
    "words": words,
    "roles": roles,
    "catching": catching,
    "coroutines": coroutines,
    "printing": printing,
    "header": header_shape,
    "own-header": own_header_first,
    "names": names,
    "sizes": sizes,
    "functions": functions,
    "test-names": test_names,
    "listed": listed,
}


def allowed(file, rule, number):
    """An exception with its reason, on the line or the one above."""
    pattern = rf"lint-allow\({re.escape(rule)}\): \S"
    near = file.lines[max(0, number - 2):number]
    return any(re.search(pattern, line) for line in near)


def check(file):
    for rule, function in RULES.items():
        for number, message in function(file):
            if not allowed(file, rule, number):
                yield number, rule, message
