#include "task/record.hpp"

#include <doctest/doctest.h>

#include <vector>

namespace shoal::task {
namespace {

TaskSpec command(std::vector<std::string> argv) {
  TaskSpec spec;
  spec.argv = std::move(argv);
  return spec;
}

std::string problem(const TaskSpec& spec) { return validate(spec).value_or(""); }

std::string replaced(const std::string& word, const std::string& argument,
                     std::uint32_t index = 0) {
  TaskSpec spec = command({"run", word});
  spec.substitute = true;
  return element_spec(spec, index, argument).argv.at(1);
}

}  // namespace

TEST_CASE("record: an ordinary description is in order") {
  TaskSpec spec = command({"echo", "", "a b"});
  spec.environment = {{"NAME", "value = with sign"}, {"EMPTY", ""}};
  spec.working_folder = "/data";
  CHECK(!validate(spec));
  CHECK(!validate(TaskSpec{.kind = TaskKind::noop}));
  CHECK(!validate(TaskSpec{.kind = TaskKind::sleep, .sleep = std::chrono::seconds(1)}));
}

TEST_CASE("record: a process needs a command") {
  CHECK(problem({}).contains("no command"));
  CHECK(problem(command({""})).contains("no command"));
}

TEST_CASE("record: bytes that no program can be given are refused") {
  using namespace std::string_literals;
  CHECK(problem(command({"echo", "a\0b"s})).contains("Argument 1"));
  CHECK(problem(command({"echo", std::string(128 * 1024, 'x')})).contains("131071"));

  TaskSpec spec = command({"echo"});
  spec.environment = {{"", "x"}};
  CHECK(problem(spec).contains("no name"));
  spec.environment = {{"A=B", "x"}};
  CHECK(problem(spec).contains("A=B"));
  spec.environment = {{"A", "x\0y"s}};
  CHECK(problem(spec).contains("variable A"));
  spec.environment = {{"A", std::string(128 * 1024, 'x')}};
  CHECK(problem(spec).contains("variable A"));
  spec.environment.clear();
  spec.working_folder = "/a\0b"s;
  CHECK(problem(spec).contains("working folder"));
  spec.working_folder = "data";
  CHECK(problem(spec).contains("relative path"));
  spec.working_folder.clear();
  spec.stdin_file = "/a\0b"s;
  CHECK(problem(spec).contains("stdin"));
}

TEST_CASE("record: a description has at most kSpecBytesMax bytes, list entries counted") {
  TaskSpec spec = command({"echo"});
  const std::size_t left = kSpecBytesMax - spec_bytes(spec);
  spec.argv.insert(spec.argv.end(), left / 32, std::string(16, 'x'));
  CHECK(!validate(spec));
  spec.argv.insert(spec.argv.end(), 2, "");
  CHECK(problem(spec).contains("262144"));
}

TEST_CASE("record: numbers out of bounds are refused") {
  TaskSpec spec = command({"echo"});
  spec.cpu_millis = 1'000'001;
  CHECK(problem(spec).contains("cpus"));
  spec.cpu_millis = 0;
  CHECK(!validate(spec));
  spec.timeout = std::chrono::milliseconds(-1);
  CHECK(problem(spec).contains("timeout"));
  spec.timeout = std::chrono::milliseconds::max();
  CHECK(problem(spec).contains("timeout"));
  spec.timeout = {};
  spec.sleep = std::chrono::milliseconds(-1);
  CHECK(problem(spec).contains("sleep"));
  spec.sleep = {};
  spec.retries = 1001;
  CHECK(problem(spec).contains("retries"));
  spec.retries = 1;
  spec.at_most_once = true;
  CHECK(problem(spec).contains("at most once"));
  spec.at_most_once = false;
  spec.retries = 0;
  spec.memory_bytes = ~std::uint64_t{0};
  CHECK(problem(spec).contains("memory"));
}

TEST_CASE("record: placeholders stand for the parts of the argument") {
  CHECK(replaced("<{}>", "dir/file.tar.gz") == "<dir/file.tar.gz>");
  CHECK(replaced("{.}", "dir/file.tar.gz") == "dir/file.tar");
  CHECK(replaced("{/}", "dir/file.tar.gz") == "file.tar.gz");
  CHECK(replaced("{//}", "dir/file.tar.gz") == "dir");
  CHECK(replaced("{/.}", "dir/file.tar.gz") == "file.tar");
  CHECK(replaced("{#}-{#}", "x", 41) == "42-42");
  CHECK(replaced("{#}", "x", 0xffffffff) == "4294967296");
}

TEST_CASE("record: odd paths are taken apart as GNU parallel does") {
  CHECK(replaced("{.}", "a.d/file") == "a.d/file");  // A folder's dot is no extension.
  CHECK(replaced("{.}", "file.") == "file.");
  CHECK(replaced("{.}", ".profile").empty());
  CHECK(replaced("{/}", "dir/").empty());
  CHECK(replaced("{//}", "file") == ".");
  CHECK(replaced("{//}", "/file") == "/");
  CHECK(replaced("{//}", "a//b/") == "a");
  CHECK(replaced("{//}", "/") == "/");
  CHECK(replaced("{//}", "") == ".");
}

TEST_CASE("record: replaced text is not looked at again, and other braces stay") {
  CHECK(replaced("{}{}", "{#}") == "{#}{#}");
  CHECK(replaced("{{}}", "x") == "{x}");
  CHECK(replaced("{a} { {?}{", "x") == "{a} { {?}{");
}

TEST_CASE("record: without `substitute` argv is left as it is") {
  const TaskSpec spec = command({"echo", "{}"});
  CHECK(element_spec(spec, 0, "x") == spec);
}

}  // namespace shoal::task
