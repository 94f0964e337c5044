// The test program shoal-broken: a node of it breaks the promise that SHOAL_BROKEN names.
//
//   early_ack      acknowledges before the disk has it: what is written reaches the store later, as
//                  a page cache does, so that whoever kills all nodes at once sees it gone
//   lower_ballot   takes writes of owners that were deposed
//   no_fence       lets attempts run on beyond their leases
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "daemon/broken_rules.hpp"

namespace shoal::daemon {
namespace {

using Clock = std::chrono::steady_clock;
using Batches = std::vector<std::vector<wire::Write>>;

// Says of each write at once that it is on the disk, and writes it much later.
class LateDisk {
 public:
  explicit LateDisk(store::CommitWriter::Commit commit) : commit_(std::move(commit)) {
    thread_ = std::thread([this] { run(); });
  }
  ~LateDisk() {
    {
      const std::lock_guard lock(mutex_);
      ending_ = true;
    }
    thread_.join();
  }
  LateDisk(const LateDisk&) = delete;
  LateDisk& operator=(const LateDisk&) = delete;

  void add(std::span<const std::vector<wire::Write>> batches) {
    const std::lock_guard lock(mutex_);
    cache_.push_back({Clock::now() + kLate, Batches(batches.begin(), batches.end())});
  }

 private:
  struct Cached {
    Clock::time_point due;
    Batches batches;
  };
  static constexpr std::chrono::milliseconds kLate{2'000};
  static constexpr std::chrono::milliseconds kLookEvery{20};

  // Empty: there is nothing to write yet. Absent: nothing is left to do.
  std::optional<Batches> take() {
    const std::lock_guard lock(mutex_);
    if (cache_.empty()) return ending_ ? std::nullopt : std::optional<Batches>(Batches());
    if (!ending_ && cache_.front().due > Clock::now()) return Batches();
    Batches taken = std::move(cache_.front().batches);
    cache_.pop_front();
    return taken;
  }

  void run() {
    while (const auto batches = take()) {
      if (batches->empty()) std::this_thread::sleep_for(kLookEvery);
      if (batches->empty() || commit_(*batches)) continue;
      std::fputs("shoal-broken: the store failed\n", stderr);
      std::_Exit(1);
    }
  }

  store::CommitWriter::Commit commit_;
  std::mutex mutex_;  // Guards what follows.
  std::deque<Cached> cache_;
  bool ending_ = false;
  std::thread thread_;
};

store::CommitWriter::Commit early(store::CommitWriter::Commit commit) {
  const auto disk = std::make_shared<LateDisk>(std::move(commit));
  return [disk](std::span<const std::vector<wire::Write>> batches) -> Result<void> {
    disk->add(batches);
    return {};
  };
}

}  // namespace

BrokenRules break_rules() {
  BrokenRules broken;
  const char* named = std::getenv("SHOAL_BROKEN");
  const std::string_view rule = named != nullptr ? named : "";
  if (rule == "early_ack") {
    broken.commit = early;
  } else if (rule == "lower_ballot") {
    broken.shards.no_promise_check = true;
  } else if (rule == "no_fence") {
    broken.node.no_fence = true;
    broken.endless_leases = true;
  } else if (!rule.empty()) {
    std::fprintf(stderr, "SHOAL_BROKEN: there is no rule '%s'\n", named);
    std::_Exit(2);
  }
  if (!rule.empty())
    std::fprintf(stderr, "shoal-broken: the rule %s is broken on purpose\n", named);
  return broken;
}

}  // namespace shoal::daemon
