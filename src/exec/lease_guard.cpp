#include "exec/lease_guard.hpp"

#include <signal.h>
#include <sys/timerfd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>

#include "base/assert.hpp"
#include "exec/clock.hpp"
#include "exec/control_groups.hpp"

namespace shoal::exec {

LeaseGuard::LeaseGuard() : timer_(timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC)) {
  SHOAL_ASSERT(timer_);
  thread_ = std::thread([this] { run(); });
}

LeaseGuard::~LeaseGuard() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    arm();
  }
  thread_.join();
}

void LeaseGuard::add(pid_t first_process, int group_folder, TimePoint lease_end) {
  const std::lock_guard lock(mutex_);
  entries_[first_process] = {.group_folder = group_folder, .lease_end = lease_end};
  if (lease_end < armed_for_) arm();
}

void LeaseGuard::extend(pid_t first_process, TimePoint lease_end) {
  const std::lock_guard lock(mutex_);
  const auto found = entries_.find(first_process);
  // The timer goes off too early, once.
  if (found != entries_.end()) {
    found->second.lease_end = std::max(found->second.lease_end, lease_end);
  }
}

bool LeaseGuard::remove(pid_t first_process) {
  const std::lock_guard lock(mutex_);
  const auto found = entries_.find(first_process);
  if (found == entries_.end()) return false;
  const bool killed = found->second.killed;
  entries_.erase(found);
  return killed;
}

void LeaseGuard::arm() {
  armed_for_ = kNever;
  for (const auto& [pid, entry] : entries_) {
    if (!entry.killed) armed_for_ = std::min(armed_for_, entry.lease_end);
  }
  itimerspec when{};  // All zero: never.
  if (armed_for_ != kNever || stopping_) {
    // A time in the past goes off at once; zero would not.
    const Duration since_boot =
        std::max(stopping_ ? Duration(1) : armed_for_.time_since_epoch(), Duration(1));
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(since_boot);
    when.it_value.tv_sec = seconds.count();
    when.it_value.tv_nsec = static_cast<long>((since_boot - seconds).count());
  }
  SHOAL_ASSERT(timerfd_settime(timer_.get(), TFD_TIMER_ABSTIME, &when, nullptr) == 0);
}

void LeaseGuard::run() {
  while (true) {
    std::uint64_t expirations = 0;
    const ssize_t count = read(timer_.get(), &expirations, sizeof expirations);
    SHOAL_ASSERT(count > 0 || errno == EINTR);
    const std::lock_guard lock(mutex_);
    if (stopping_) return;
    const TimePoint now = boot_now();
    for (auto& [pid, entry] : entries_) {
      if (entry.killed || entry.lease_end > now) continue;
      entry.killed = true;
      if (entry.group_folder >= 0) kill_group(entry.group_folder);
      ::kill(-pid, SIGKILL);
    }
    arm();
  }
}

}  // namespace shoal::exec
