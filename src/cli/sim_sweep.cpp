#include "cli/sim_sweep.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <thread>
#include <utility>
#include <vector>

#include "base/format.hpp"
#include "cli/commands.hpp"
#include "sim/sweep.hpp"

namespace shoal::cli {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::uint64_t kBlock = 32;        // Seeds for one worker process.
constexpr std::uint64_t kRepeatOneIn = 32;  // This share of the seeds is run twice (I19).
constexpr std::chrono::seconds kSayEvery{30};
constexpr std::chrono::milliseconds kPollMax{500};

struct Worker {
  pid_t process = -1;
  int pipe = -1;
  std::uint64_t next = 0;  // The seed it is at.
  std::uint64_t end = 0;   // One beyond its last.
  Clock::time_point since;
  std::string unread;
};

std::string replay(const SweepOptions& options, std::uint64_t seed) {
  return format("shoal sim --drawn --seed {} --faults {}", seed, options.faults);
}

void write_all(int pipe, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(pipe, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) ::_exit(1);  // Nobody reads any more.
    text.remove_prefix(static_cast<std::size_t>(written));
  }
}

class Sweep {
 public:
  explicit Sweep(const SweepOptions& options)
      : options_(options), began_(Clock::now()), said_(began_), next_(options.first) {}

  int run() {
    const std::uint32_t cores = std::max(1U, std::thread::hardware_concurrency());
    workers_.resize(options_.workers == 0 ? cores : options_.workers);
    for (Worker& worker : workers_) begin_block(worker);
    while (std::ranges::any_of(workers_, [](const Worker& each) { return each.pipe >= 0; })) {
      poll_workers();
      for (Worker& worker : workers_) check_time(worker);
      say_progress();
    }
    const double real = std::chrono::duration<double>(Clock::now() - began_).count();
    if (options_.marks) std::fputs(totals_.counts().c_str(), stdout);
    std::printf("%s\n", totals_.summary(real).c_str());
    return totals_.bad_seeds() == 0 ? kExitGood : kExitFailed;
  }

 private:
  bool time_is_up() const {
    return options_.time_max && Clock::now() - began_ >= *options_.time_max;
  }

  // The next block of seeds, or nothing more to do.
  void begin_block(Worker& worker) {
    const std::uint64_t last = options_.first + options_.seeds;
    if (next_ >= last || time_is_up()) return;
    worker.next = next_;
    next_ = worker.end = std::min(next_ + kBlock, last);
    start(worker);
  }

  void start(Worker& worker) {
    std::array<int, 2> ends{};
    std::fflush(nullptr);
    if (::pipe2(ends.data(), O_CLOEXEC) != 0 || (worker.process = ::fork()) < 0) {
      std::fprintf(stderr, "shoal: cannot start a worker: %s; free some memory or processes\n",
                   std::strerror(errno));
      std::exit(kExitFailed);
    }
    if (worker.process == 0) {
      ::close(ends[0]);
      for (std::uint64_t seed = worker.next; seed < worker.end; ++seed) {
        write_all(ends[1], sim::encode(sim::run_seed(seed, options_.faults, kRepeatOneIn)));
      }
      ::_exit(0);
    }
    ::close(ends[1]);
    worker.pipe = ends[0];
    worker.since = Clock::now();
    worker.unread.clear();
  }

  void poll_workers() {
    std::vector<pollfd> polled;
    for (const Worker& worker : workers_) polled.push_back({worker.pipe, POLLIN, 0});
    ::poll(polled.data(), polled.size(), static_cast<int>(kPollMax.count()));
    for (std::size_t i = 0; i < polled.size(); ++i) {
      if (polled[i].revents != 0) read(workers_[i]);
    }
  }

  void read(Worker& worker) {
    std::array<char, 65536> bytes;
    const ssize_t got = ::read(worker.pipe, bytes.data(), bytes.size());
    if (got < 0 && errno == EINTR) return;
    if (got <= 0) return ended(worker);
    worker.unread.append(bytes.data(), static_cast<std::size_t>(got));
    for (std::size_t end = worker.unread.find("\n\n"); end != std::string::npos;
         end = worker.unread.find("\n\n")) {
      const auto result = sim::decode_seed_result(worker.unread.substr(0, end));
      worker.unread.erase(0, end + 2);
      worker.next = std::max(worker.next, result ? result->seed + 1 : worker.next);
      worker.since = Clock::now();
      if (result) take(*result);
    }
  }

  // The worker is done, or dead in the middle of a seed.
  void ended(Worker& worker) {
    int status = 0;
    ::waitpid(worker.process, &status, 0);
    ::close(std::exchange(worker.pipe, -1));
    if (worker.next < worker.end) {
      const std::string how =
          WIFSIGNALED(status)
              ? format("ended by signal {} (an assertion, or out of time)", WTERMSIG(status))
              : format("exit status {}", WEXITSTATUS(status));
      failed(worker.next, "the simulation itself failed: " + how);
      ++worker.next;
    }
    if (worker.next < worker.end && !time_is_up()) return start(worker);
    begin_block(worker);
  }

  void failed(std::uint64_t seed, std::string why) {
    sim::SeedResult result{.seed = seed};
    result.violations.push_back(std::move(why));
    take(result);
  }

  void take(const sim::SeedResult& result) {
    totals_.add(result);
    if (result.violations.empty()) return;
    std::string text = format("seed {}: {}\n", result.seed, result.plan);
    for (const std::string& violation : result.violations) text += format("  {}\n", violation);
    text += format("  replay with: {}\n", replay(options_, result.seed));
    std::fputs(text.c_str(), stderr);
  }

  // One seed that hangs must not stop the sweep. Its end shows at the pipe.
  void check_time(Worker& worker) {
    if (worker.pipe < 0 || Clock::now() - worker.since < options_.seed_time_max) return;
    worker.since = Clock::now();
    ::kill(worker.process, SIGKILL);
  }

  void say_progress() {
    if (options_.quiet || Clock::now() - said_ < kSayEvery) return;
    said_ = Clock::now();
    std::fprintf(stderr, "%llu seeds, %llu with violations\n",
                 static_cast<unsigned long long>(totals_.seeds()),
                 static_cast<unsigned long long>(totals_.bad_seeds()));
  }

  const SweepOptions& options_;
  Clock::time_point began_;
  Clock::time_point said_;
  std::uint64_t next_;
  std::vector<Worker> workers_;
  sim::SweepTotals totals_;
};

}  // namespace

int run_sweep(const SweepOptions& options) { return Sweep(options).run(); }

}  // namespace shoal::cli
