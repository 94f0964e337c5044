// Room on the disk of the data folder: when there is too little for new work, and what is kept for
// hard times.
//
// Below the reserve a node takes no new tasks and starts none: what was accepted needs the rest,
// for outcomes, for the shards of other owners, and for the store's own housekeeping. It resumes by
// itself a quarter of the reserve above it.
//
// The ballast, a file of half the reserve but at most kBallastMax, is given up when less than half
// of its size is left. Those who fill a disk stop at its end and seldom make room again; what they
// could not take lets this node record its outcomes, and start again, as the store needs some room
// for that. It is made anew when there is room enough. Where the file system cannot set room aside
// there is none.
#pragma once

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <optional>

namespace shoal::daemon {

// What a node ends with, as in sysexits.h: its disk failed; it must not go on under its identity.
inline constexpr int kExitDisk = 74;
inline constexpr int kExitIdentity = 78;

inline constexpr std::uint64_t kBallastMax = 64U << 20;  // The store's largest files, twice.

// What to do at some amount of free room.
class SpaceRule {
 public:
  explicit SpaceRule(std::uint64_t reserve) : reserve_(reserve) {}

  enum class Ballast : std::uint8_t { leave, give_up, make };
  // `ballast`: what the file takes just now.
  Ballast on_free(std::uint64_t free, std::uint64_t ballast);

  bool low() const { return low_; }
  std::uint64_t reserve() const { return reserve_; }
  std::uint64_t enough() const { return reserve_ + reserve_ / 4; }  // Resumes there.
  std::uint64_t ballast() const { return std::min(reserve_ / 2, kBallastMax); }

 private:
  std::uint64_t reserve_;
  bool low_ = false;
};

class DiskWatch {
 public:
  // Without a `reserve`: 64 MiB, or 2 % of the file system if that is more. 0: there is none.
  // REQUIRES: the folder exists.
  DiskWatch(std::filesystem::path folder, std::optional<std::uint64_t> reserve);

  // Asks the file system, which is cheap; says so in the log when low() changes.
  void look();
  // The same once enough has been written since the last look.
  void on_written(std::uint64_t bytes);
  bool low() const { return rule_.low(); }

 private:
  void give_up_ballast();
  void make_ballast();

  std::filesystem::path folder_;
  std::filesystem::path file_;
  SpaceRule rule_;
  std::uint64_t ballast_ = 0;  // As it is on the disk.
  std::uint64_t written_ = 0;
};

}  // namespace shoal::daemon
