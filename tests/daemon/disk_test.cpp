#include "daemon/disk.hpp"

#include <stdlib.h>

#include <doctest/doctest.h>

#include <filesystem>
#include <string>
#include <system_error>
#include <vector>

#include "base/log.hpp"

namespace shoal::daemon {
namespace {

namespace fs = std::filesystem;
using Ballast = SpaceRule::Ballast;

struct Scratch {
  Scratch() {
    std::string pattern = (fs::temp_directory_path() / "shoal-disk-XXXXXX").string();
    path = ::mkdtemp(pattern.data());
    log::set_sink(
        [this](log::Level, std::string_view, std::string_view line) { lines.emplace_back(line); });
  }
  ~Scratch() {
    log::set_sink({});
    std::error_code error;
    fs::remove_all(path, error);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  fs::path path;
  std::vector<std::string> lines;
};

constexpr std::uint64_t kAbsurd = std::uint64_t{1} << 60;  // More than any disk has.

}  // namespace

TEST_CASE("disk: below the reserve it is low, and again enough a quarter above it") {
  SpaceRule rule(100);
  const auto low_at = [&](std::uint64_t free) {
    rule.on_free(free, 50);
    return rule.low();
  };
  CHECK_FALSE(low_at(100));
  CHECK(low_at(99));
  CHECK(low_at(124));
  CHECK_FALSE(low_at(125));
  CHECK_FALSE(low_at(100));
}

TEST_CASE("disk: the ballast goes when little is left, and comes back when that leaves enough") {
  SpaceRule rule(100);
  CHECK(rule.ballast() == 50);
  CHECK(rule.on_free(25, 50) == Ballast::leave);
  CHECK(rule.on_free(24, 50) == Ballast::give_up);
  CHECK(rule.on_free(0, 0) == Ballast::leave);
  CHECK(rule.on_free(174, 0) == Ballast::leave);
  CHECK(rule.on_free(175, 0) == Ballast::make);
  CHECK(rule.on_free(1000, 50) == Ballast::leave);
  CHECK(SpaceRule(std::uint64_t{1} << 40).ballast() == kBallastMax);
}

TEST_CASE("disk: without a reserve there is nothing to watch") {
  SpaceRule rule(0);
  CHECK(rule.on_free(0, 0) == Ballast::leave);
  CHECK(rule.on_free(1000, 0) == Ballast::leave);
  CHECK_FALSE(rule.low());
}

TEST_CASE("disk: a disk with room has a ballast set aside and is not spoken of") {
  Scratch scratch;
  DiskWatch watch(scratch.path, 2U << 20);
  watch.look();
  CHECK_FALSE(watch.low());
  CHECK(scratch.lines.empty());
  CHECK(fs::file_size(scratch.path / "ballast") == 1U << 20);
  // Found again by the next process, unless that has another reserve.
  DiskWatch(scratch.path, 2U << 20).look();
  CHECK(fs::file_size(scratch.path / "ballast") == 1U << 20);
  DiskWatch(scratch.path, 4U << 20).look();
  CHECK(fs::file_size(scratch.path / "ballast") == 2U << 20);
}

TEST_CASE("disk: a disk with too little room is spoken of once, and has no ballast") {
  Scratch scratch;
  DiskWatch watch(scratch.path, kAbsurd);
  CHECK_FALSE(watch.low());
  watch.look();
  watch.look();
  watch.on_written(100U << 20);
  CHECK(watch.low());
  CHECK_FALSE(fs::exists(scratch.path / "ballast"));
  REQUIRE(scratch.lines.size() == 1);
  CHECK(scratch.lines[0].find("--disk-reserve") != std::string::npos);
  CHECK(scratch.lines[0].find(scratch.path.string()) != std::string::npos);
}

TEST_CASE("disk: much that is written is reason for a look, little is not") {
  Scratch scratch;
  DiskWatch watch(scratch.path, kAbsurd);
  watch.on_written(1000);
  CHECK_FALSE(watch.low());
  watch.on_written(100U << 20);
  CHECK(watch.low());
}

}  // namespace shoal::daemon
