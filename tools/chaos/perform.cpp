// Steps as they are done.
#include <fcntl.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <thread>

#include "tools/chaos/dev_folder.hpp"
#include "tools/chaos/step.hpp"

namespace shoal::chaos {
namespace {

namespace fs = std::filesystem;
using SteadyClock = std::chrono::steady_clock;

constexpr Ms kStartLimit{20'000};
constexpr Ms kKillLimit{5'000};
// Larger file systems belong to others as well.
constexpr std::uint64_t kFillBytesMax = 8ULL << 30;

Result<void> perform(const SendSignal& step) {
  send_signal(step.process, step.signal);
  return {};
}

Result<void> perform(const SignalTree& step) {
  if (!lives(step.root)) return {};
  // Those that a process starts between the look and the signal are met by the next look.
  constexpr int kLooks = 3;
  for (int i = 0; i < kLooks; ++i) {
    for (const ProcessId& each : descendants(step.root.pid)) send_signal(each, step.signal);
  }
  return {};
}

Result<void> perform(const AwaitEnd& step) {
  if (wait_for_end(step.process, step.limit)) return {};
  send_signal(step.process, SIGKILL);
  if (wait_for_end(step.process, kKillLimit)) return {};
  return fail(ErrorCode::io, text(step.who, " does not end"));
}

Result<void> perform(const Wait& step) {
  std::this_thread::sleep_for(step.time);
  return {};
}

Result<void> perform(const RunProgram& step) {
  const auto finished = run_program(step.words, step.limit);
  if (!finished) return std::unexpected(finished.error());
  const bool good =
      step.good.empty() || std::ranges::find(step.good, finished->exit_status) != step.good.end();
  if (good) return {};
  return fail(ErrorCode::io,
              text(shell_line(step.words), " ended with status ", finished->exit_status, ": ",
                   trimmed(finished->error_output + finished->output)));
}

Result<void> perform(const StartProgram& step) {
  const auto started = start_detached(step.words, step.log);
  if (!started) return std::unexpected(started.error());
  return {};
}

Result<void> perform(const EndMarked& step) {
  if (step.mark.size() < kMarkBytesMin) {
    return fail(ErrorCode::bad_input, text("'", step.mark, "' is too short to name processes by"));
  }
  if (step.grace > Ms(0)) {
    for (const ProcessId& each : marked_processes(step.mark)) send_signal(each, SIGTERM);
    const auto end = SteadyClock::now() + step.grace;
    while (SteadyClock::now() < end && !marked_processes(step.mark).empty()) {
      std::this_thread::sleep_for(Ms(50));
    }
  }
  constexpr int kLooks = 20;
  for (int i = 0; i < kLooks; ++i) {
    const std::vector<ProcessId> found = marked_processes(step.mark);
    if (found.empty()) return {};
    for (const ProcessId& each : found) send_signal(each, SIGKILL);
    for (const ProcessId& each : found) wait_for_end(each, Ms(200));
  }
  return fail(ErrorCode::io, text("processes marked ", step.mark, " do not die"));
}

bool node_runs(const StartNode& step) {
  const auto nodes = read_dev_folder(step.folder);
  return nodes && std::ranges::any_of(*nodes, [&step](const DevNode& node) {
           return node.name == step.name && node.process;
         });
}

// `shoal dev start` waits until the node serves; whoever breaks a cluster must not. It is
// interrupted once the node has a process, which goes on.
Result<void> start_once(const StartNode& step, const fs::path& log, SteadyClock::time_point end) {
  const auto dev =
      start_detached({step.shoal, "dev", "start", step.name, "--dir", step.folder}, log);
  if (!dev) return std::unexpected(dev.error());
  while (SteadyClock::now() < end) {
    const bool waits = !wait_for_end(*dev, Ms(10));
    if (node_runs(step)) {
      send_signal(*dev, SIGINT);
      if (!wait_for_end(*dev, Ms(3000))) send_signal(*dev, SIGKILL);
      wait_for_end(*dev, kKillLimit);
      return {};
    }
    if (!waits) break;
  }
  send_signal(*dev, SIGKILL);
  wait_for_end(*dev, kKillLimit);
  return fail(ErrorCode::unavailable,
              text("node ", step.name, " does not start; see ", log.string()));
}

Result<void> perform(const StartNode& step) {
  const fs::path log = fs::path(step.folder) / "chaos-start.log";
  const auto end = SteadyClock::now() + kStartLimit;
  Result<void> started;
  while (!node_runs(step)) {
    started = start_once(step, log, end);
    // Another `shoal dev` may hold the folder's lock.
    if (started || SteadyClock::now() >= end) return started;
    std::this_thread::sleep_for(Ms(200));
  }
  return {};
}

Result<void> perform(const StartRecorded& step) {
  if (recorded_process(step.record)) return {};
  const auto started = start_detached(step.words, step.log);
  if (!started) return std::unexpected(started.error());
  std::ofstream file(step.record, std::ios::trunc);
  file << started->pid << ' ' << started->start << '\n';
  file.close();
  if (file) return {};
  send_signal(*started, SIGKILL);
  return fail(ErrorCode::io, text(step.record, " cannot be written"));
}

bool own(const fs::path& path) {
  return std::ranges::any_of(
      path, [](const fs::path& each) { return each.string().starts_with(kOwnFolder); });
}

Result<void> perform(const Remove& step) {
  std::error_code error;
  if (step.all && !own(step.path)) {
    return fail(ErrorCode::refused, text(step.path, " is not removed: this tool did not make it"));
  }
  if (step.all) {
    fs::remove_all(step.path, error);
  } else {
    fs::remove(step.path, error);
  }
  if (!error || error == std::errc::no_such_file_or_directory) return {};
  return fail(ErrorCode::io, text(step.path, " cannot be removed: ", error.message()));
}

Result<void> perform(const FillDisk& step) {
  const fs::path folder = fs::path(step.path).parent_path();
  struct statvfs space{};
  if (::statvfs(folder.c_str(), &space) != 0) {
    return fail(ErrorCode::io, text(folder.string(), ": ", std::strerror(errno)));
  }
  const std::uint64_t total = std::uint64_t{space.f_blocks} * space.f_frsize;
  if (total > kFillBytesMax) {
    return fail(ErrorCode::refused,
                text("the file system of ", folder.string(), " has ", size_text(total),
                     " and is not filled: it is not this node's alone"));
  }
  const std::uint64_t free = std::uint64_t{space.f_bavail} * space.f_frsize;
  if (free <= step.leave) return {};
  const int file = ::open(step.path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  if (file < 0) return fail(ErrorCode::io, text(step.path, ": ", std::strerror(errno)));
  const int error = ::posix_fallocate(file, 0, static_cast<off_t>(free - step.leave));
  ::close(file);
  if (error == 0 || error == ENOSPC) return {};
  return fail(ErrorCode::io, text(step.path, ": ", std::strerror(error)));
}

}  // namespace

ProcessId recorded_process(const fs::path& record) {
  std::ifstream file(record);
  ProcessId process;
  if (file >> process.pid >> process.start && lives(process)) return process;
  return {};
}

Result<void> perform(const Step& step) {
  return std::visit([](const auto& each) { return perform(each); }, step);
}

}  // namespace shoal::chaos
