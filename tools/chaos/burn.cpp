#include "tools/chaos/burn.hpp"

#include <sched.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <thread>
#include <vector>

namespace shoal::chaos {
namespace {

namespace fs = std::filesystem;
using SteadyClock = std::chrono::steady_clock;

// Joins the control groups of `like`: only root may, and where it may not nothing happens.
void join_groups(pid_t like) {
  std::ifstream file(text("/proc/", like, "/cgroup"));
  for (std::string line; std::getline(file, line);) {
    const std::vector<std::string> parts = split(line, ':');
    if (parts.size() != 3) continue;
    const std::string inner = parts[2].starts_with('/') ? parts[2].substr(1) : parts[2];
    std::vector<fs::path> hierarchies{fs::path("/sys/fs/cgroup") / parts[1]};
    if (parts[1].empty()) hierarchies = {"/sys/fs/cgroup/unified", "/sys/fs/cgroup"};
    for (const fs::path& hierarchy : hierarchies) {
      std::ofstream procs(hierarchy / inner / "cgroup.procs");
      procs << ::getpid() << std::flush;
      if (procs) break;
    }
  }
}

int burn_cpu(std::uint64_t threads, SteadyClock::time_point end) {
  std::vector<std::thread> crew;
  for (std::uint64_t i = 0; i < threads; ++i) {
    crew.emplace_back([end] {
      constexpr int kTurns = 100'000;
      std::atomic<std::uint64_t> sum = 0;
      while (SteadyClock::now() < end) {
        for (int k = 0; k < kTurns; ++k) sum.fetch_add(1, std::memory_order_relaxed);
      }
    });
  }
  for (std::thread& each : crew) each.join();
  return 0;
}

int burn_memory(std::uint64_t bytes, SteadyClock::time_point end) {
  void* memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) {
    std::perror("shoal-chaos: burn mem");
    return 1;
  }
  // Touched again and again: what rests might be swapped out.
  while (SteadyClock::now() < end) {
    std::memset(memory, 0x5a, bytes);
    std::this_thread::sleep_for(Ms(500));
  }
  return 0;
}

}  // namespace

int burn(const Burn& what) {
  cpu_set_t cores;
  if (what.like > 0 && ::sched_getaffinity(what.like, sizeof cores, &cores) == 0) {
    ::sched_setaffinity(0, sizeof cores, &cores);
    join_groups(what.like);
  }
  const auto end = SteadyClock::now() + what.time;
  return what.what == "cpu" ? burn_cpu(what.amount, end) : burn_memory(what.amount, end);
}

}  // namespace shoal::chaos
