#include "exec/executor.hpp"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include <cstdlib>

#include "node_side.hpp"

namespace shoal::exec {

using namespace std::chrono_literals;

TEST_CASE("executor: an exit status and both streams come back with the end") {
  NodeSide node;
  const auto ended = node.shell("echo good; echo bad >&2; exit 7");
  CHECK(ended.result.reason == EndReason::exited);
  CHECK(ended.result.exit_status == 7);
  CHECK(ended.result.signal == 0);
  CHECK(ended.tails[0] == "good\n");
  CHECK(ended.tails[1] == "bad\n");
  CHECK(ended.result.output_bytes[0] == 5);
  CHECK_FALSE(ended.result.output_capped[0]);
  CHECK(ended.result.started <= ended.result.ended);
  CHECK(ended.result.cpu_time > 0us);
  CHECK(ended.result.memory_bytes_peak > 100'000);
  CHECK(node.executor->running() == 0);
}

TEST_CASE("executor: a task that dies of a signal says which") {
  NodeSide node;
  const auto ended = node.shell("kill -SEGV $$");
  CHECK(ended.result.reason == EndReason::signalled);
  CHECK(ended.result.signal == 11);
  CHECK(ended.result.exit_status == 139);
}

TEST_CASE("executor: a command that does not exist is not found, 127") {
  NodeSide node;
  for (const char* command : {"no-such-command-here", "/no/such/command", "./no-such-command"}) {
    const auto ended = node.run({.argv = {command}});
    CHECK(ended.result.reason == EndReason::not_found);
    CHECK(ended.result.exit_status == 127);
    CHECK(ended.result.message.find(command) != std::string::npos);
  }
}

TEST_CASE("executor: a message stays a sentence, however long the command's name") {
  NodeSide node;
  const auto ended = node.run({.argv = {std::string(100'000, 'x')}});
  CHECK(ended.result.exit_status != 0);
  CHECK_FALSE(ended.result.message.empty());
  CHECK(ended.result.message.size() <= 1024);
}

TEST_CASE("executor: a file that is no program is not executable, 126") {
  NodeSide node;
  const std::string plain = node.folder + "/plain";
  write_file(plain, "hello\n");
  CHECK(node.run({.argv = {plain}}).result.exit_status == 126);
  chmod(plain.c_str(), 0755);  // Executable by its mode, but neither a program nor a script.
  const auto ended = node.run({.argv = {plain}});
  CHECK(ended.result.reason == EndReason::not_executable);
  CHECK(ended.result.exit_status == 126);
  CHECK(ended.result.message.find(plain) != std::string::npos);
  CHECK(node.run({.argv = {"/tmp"}}).result.reason == EndReason::not_executable);
}

TEST_CASE("executor: a script whose interpreter is missing is told so") {
  NodeSide node;
  const std::string script = node.folder + "/script";
  write_file(script, "#!/no/such/interpreter\n");
  chmod(script.c_str(), 0755);
  const auto ended = node.run({.argv = {"./script"}, .working_folder = node.folder});
  CHECK(ended.result.exit_status == 127);
  CHECK(ended.result.message.find("interpreter") != std::string::npos);
}

TEST_CASE("executor: a missing working folder or stdin file is named, 125") {
  NodeSide node;
  auto ended = node.run({.argv = {"true"}, .working_folder = "/no/such/folder"});
  CHECK(ended.result.reason == EndReason::start_failed);
  CHECK(ended.result.exit_status == 125);
  CHECK(ended.result.message.find("/no/such/folder") != std::string::npos);
  ended = node.run({.argv = {"true"}, .stdin_file = "/no/such/input"});
  CHECK(ended.result.exit_status == 125);
  CHECK(ended.result.message.find("/no/such/input") != std::string::npos);
  CHECK(node.run({.argv = {}}).result.reason == EndReason::start_failed);
  CHECK(node.run({.argv = {"echo", std::string("a\0b", 3)}}).result.exit_status == 125);
}

TEST_CASE("executor: stdin is the file that was named, else empty") {
  NodeSide node;
  write_file(node.folder + "/input", "from a file");
  CHECK(node.run({.argv = {"cat"}, .stdin_file = node.folder + "/input"}).tails[0] ==
        "from a file");
  CHECK(node.run({.argv = {"cat"}}).tails[0].empty());
}

TEST_CASE("executor: the environment is small, marked, and ends with the task's own variables") {
  NodeSide node;
  setenv("SHOAL_TEST_LEAK", "1", 1);
  NodeSide later;
  const auto ended = later.run(
      {.argv = {"env"},
       .environment = {{"COLOUR", "blue green"}, {"HOME", "/elsewhere"}, {"SHOAL_ATTEMPT", "99"}},
       .cpu_millis = 500});
  unsetenv("SHOAL_TEST_LEAK");
  const std::string text = "\n" + ended.tails[0];
  const auto holds = [&text](const std::string& line) {
    return text.find("\n" + line + "\n") != std::string::npos;
  };
  CHECK(holds("SHOAL_JOB_ID=" + to_string(JobId{0x1234})));
  CHECK(holds("SHOAL_TASK_INDEX=0"));
  CHECK(holds("SHOAL_ATTEMPT=1"));
  CHECK(holds("SHOAL_NODE=00000000000000010000000000000002"));
  CHECK(holds("SHOAL_CPUS=0.5"));
  CHECK(holds("COLOUR=blue green"));
  CHECK(holds("HOME=/elsewhere"));
  CHECK_FALSE(holds("SHOAL_ATTEMPT=99"));
  CHECK(text.find("\nPATH=") != std::string::npos);
  CHECK(text.find("SHOAL_TEST_LEAK") == std::string::npos);
}

TEST_CASE("executor: arguments reach the program byte for byte") {
  NodeSide node;
  std::string odd;
  for (int byte = 1; byte < 256; ++byte) odd.push_back(static_cast<char>(byte));
  const auto ended = node.run({.argv = {"printf", "%s|%s|%s", odd, "", "$HOME `id` {}"}});
  CHECK(ended.tails[0] == odd + "||$HOME `id` {}");
}

TEST_CASE("executor: a task starts with default signals, no foreign descriptors, its own session") {
  NodeSide node;
  const auto ended = node.shell(
      "ls /proc/$$/fd | tr '\\n' ' '; grep -E 'SigBlk|SigIgn' /proc/self/status; "
      "test $(ps -o sid= -p $$) = $$ && echo leads");
  CHECK(ended.tails[0].starts_with("0 1 2 "));
  CHECK(ended.tails[0].find("SigBlk:\t0000000000000000") != std::string::npos);
  // Signals 32 and 33 are the C library's own; its posix_spawn(), which started the supervisor,
  // ignores them.
  const std::size_t ignored = ended.tails[0].find("SigIgn:\t");
  REQUIRE(ignored != std::string::npos);
  CHECK((std::stoull(ended.tails[0].substr(ignored + 8), nullptr, 16) & ~0x180000000ULL) == 0);
  CHECK(ended.tails[0].ends_with("leads\n"));
}

TEST_CASE("executor: a scratch folder is made for the task, and removed if it ends up empty") {
  NodeSide node;
  const auto empty = node.shell("pwd");
  const std::string first = node.executor->output_files().scratch_folder(empty.attempt);
  CHECK(empty.tails[0] == first + "\n");
  CHECK_FALSE(std::filesystem::exists(first));
  const auto used = node.shell("echo kept > result");
  const std::string second = node.executor->output_files().scratch_folder(used.attempt);
  CHECK(read_whole(second + "/result") == "kept\n");
}

TEST_CASE("executor: a stream ends at its limit, and the task runs on") {
  NodeSide node;
  const auto ended = node.run({.argv = {"sh", "-c", "yes 0123456 | head -c 300000; echo the end"},
                               .output_bytes_max = 100'000});
  CHECK(ended.result.good());
  CHECK(ended.result.output_capped[0]);
  CHECK_FALSE(ended.result.output_capped[1]);
  CHECK(ended.result.output_bytes[0] == 300'008);
  CHECK(ended.tails[0].size() == kOutputTailBytes);
  CHECK(ended.tails[0].ends_with("the end\n"));
  const std::string kept =
      read_whole(node.executor->output_files().file(ended.attempt, task::Stream::out));
  CHECK(kept.size() > 100'000);
  CHECK(kept.size() < 100'200);
  CHECK(kept.starts_with("0123456\n0123456\n"));
  CHECK(kept.find("\n[shoal: the output limit of 100000 bytes") == 100'000);
}

TEST_CASE("executor: a tail is the last 16 KiB of a stream, or all of it") {
  NodeSide node;
  const auto script = [](std::size_t bytes) {
    return "seq 1 200000 | head -c " + std::to_string(bytes) + " >&2";
  };
  for (const std::size_t bytes : {kOutputTailBytes - 1, kOutputTailBytes, kOutputTailBytes + 1,
                                  std::size_t{65'536}, std::size_t{1'000'003}}) {
    const auto ended = node.shell(script(bytes));
    const std::string whole =
        read_whole(node.executor->output_files().file(ended.attempt, task::Stream::err));
    REQUIRE(whole.size() == bytes);
    CHECK(ended.result.output_bytes[1] == bytes);
    CHECK(ended.tails[1] == whole.substr(bytes - std::min(bytes, kOutputTailBytes)));
  }
}

TEST_CASE("executor: output can be read while the task runs and after it") {
  NodeSide node;
  const AttemptId id = node.launch({.argv = {"sh", "-c", "printf abc; sleep 0.3; printf def"}});
  const auto read = [&](std::uint64_t offset) {
    return node.executor->read_output({.request = 5, .attempt = id, .offset = offset});
  };
  CHECK(read(0).known);
  CHECK(node.run_until([&] { return read(0).bytes == "abc"; }));
  CHECK_FALSE(read(3).ended);
  REQUIRE(node.run_until([&] { return node.ended.contains(id); }));
  const task::OutputPiece piece = read(2);
  CHECK(piece.request == 5);
  CHECK(piece.known);
  CHECK(piece.ended);
  CHECK(piece.offset == 2);
  CHECK(piece.bytes == "cdef");
  CHECK_FALSE(node.executor->read_output({.attempt = id, .bytes_max = 2}).ended);
  CHECK(read(~std::uint64_t{0}).bytes.empty());
  // Silent, and never heard of.
  const auto silent = node.executor->read_output({.attempt = id, .stream = task::Stream::err});
  CHECK(silent.known);
  CHECK(silent.ended);
  CHECK_FALSE(node.executor->read_output({.attempt = NodeSide::attempt(77)}).known);
  CHECK(node.executor->output_files().jobs() == std::vector{id.task.job});
  node.executor->output_files().remove_job(id.task.job);
  CHECK_FALSE(read(0).known);
}

TEST_CASE("executor: a disk that refuses the output fails neither task nor tail") {
  NodeSide node;
  std::filesystem::remove_all(node.folder + "/output");
  const auto ended = node.shell("echo hello");
  CHECK(ended.result.good());
  CHECK(ended.result.output_capped[0]);
  CHECK(ended.tails[0] == "hello\n");
  CHECK(ended.result.message.find("could not be written") != std::string::npos);
}

TEST_CASE("executor: five hundred short tasks all end well, spread over two supervisors") {
  NodeSide node(2);
  constexpr std::uint32_t kTasks = 500, kInFlight = 6;
  std::uint32_t launched = 0;
  node.on_ended = [&](const task::ProcessEnded&) {
    if (launched++ < kTasks) node.launch({.argv = {"/bin/true"}});
  };
  for (; launched < kInFlight; ++launched) node.launch({.argv = {"/bin/true"}});
  REQUIRE(node.run_until([&] { return node.ended.size() == kTasks; }, 20s));
  for (const auto& [id, report] : node.ended) CHECK(report.result.good());
  CHECK(std::filesystem::is_empty(node.folder + "/output"));
  CHECK(std::filesystem::is_empty(node.folder + "/scratch"));
}

}  // namespace shoal::exec
