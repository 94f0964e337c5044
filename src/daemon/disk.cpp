#include "daemon/disk.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "base/log.hpp"
#include "base/units.hpp"

namespace shoal::daemon {
namespace {

constexpr std::uint64_t kReserveMin = 64U << 20;
constexpr std::uint64_t kReservePercent = 2;
constexpr std::uint64_t kLookBytes = 4U << 20;

struct Space {
  std::uint64_t total = 0;
  std::uint64_t free = 0;
};

// Absent when the system does not say.
std::optional<Space> space_of(const std::filesystem::path& folder) {
  struct statvfs status{};
  if (::statvfs(folder.c_str(), &status) != 0) return std::nullopt;
  const std::uint64_t block = status.f_frsize;
  return Space{status.f_blocks * block, status.f_bavail * block};
}

std::uint64_t default_reserve(const std::filesystem::path& folder) {
  const auto space = space_of(folder);
  return std::max(kReserveMin, space ? space->total / 100 * kReservePercent : 0);
}

std::uint64_t allocated_bytes(const std::filesystem::path& file) {
  struct stat status{};
  constexpr std::uint64_t kStatBlockBytes = 512;
  if (::stat(file.c_str(), &status) != 0) return 0;
  return static_cast<std::uint64_t>(status.st_blocks) * kStatBlockBytes;
}

}  // namespace

SpaceRule::Ballast SpaceRule::on_free(std::uint64_t free, std::uint64_t ballast) {
  if (free < reserve_) low_ = true;
  if (free >= enough()) low_ = false;
  if (ballast > 0 && free < this->ballast() / 2) return Ballast::give_up;
  if (ballast == 0 && this->ballast() > 0 && free >= enough() + this->ballast()) {
    return Ballast::make;
  }
  return Ballast::leave;
}

DiskWatch::DiskWatch(std::filesystem::path folder, std::optional<std::uint64_t> reserve)
    : folder_(std::move(folder)),
      file_(folder_ / "ballast"),
      rule_(reserve ? *reserve : default_reserve(folder_)),
      ballast_(allocated_bytes(file_)) {
  if (ballast_ == rule_.ballast()) return;
  give_up_ballast();  // Of another reserve.
}

void DiskWatch::look() {
  written_ = 0;
  const auto space = space_of(folder_);
  if (!space) return;
  const bool before = rule_.low();
  switch (rule_.on_free(space->free, ballast_)) {
    case SpaceRule::Ballast::give_up:
      give_up_ballast();
      break;
    case SpaceRule::Ballast::make:
      make_ballast();
      break;
    case SpaceRule::Ballast::leave:
      break;
  }
  if (rule_.low() == before) return;
  if (rule_.low()) {
    log::warn("daemon",
              "the disk of {} has {} left, less than its reserve of {} (--disk-reserve): no new "
              "tasks are taken or started here until {} are free",
              folder_.string(), size_text(space->free), size_text(rule_.reserve()),
              size_text(rule_.enough()));
  } else {
    log::warn("daemon", "the disk of {} has {} left again: new tasks are taken and started here",
              folder_.string(), size_text(space->free));
  }
}

void DiskWatch::on_written(std::uint64_t bytes) {
  written_ += bytes;
  if (written_ >= kLookBytes) look();
}

void DiskWatch::give_up_ballast() {
  if (ballast_ > 0 && ::unlink(file_.c_str()) == 0) ballast_ = 0;
}

void DiskWatch::make_ballast() {
  const int file = ::open(file_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (file < 0) return;
  const bool made = ::fallocate(file, 0, 0, static_cast<off_t>(rule_.ballast())) == 0;
  ::close(file);
  if (made) {
    ballast_ = allocated_bytes(file_);
  } else {
    ::unlink(file_.c_str());
  }
}

}  // namespace shoal::daemon
