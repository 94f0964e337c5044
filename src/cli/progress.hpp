// The line `shoal map --bar` keeps up to date on a terminal: how much is done, how fast, how long
// it will take.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "cli/render.hpp"

namespace shoal::cli {

struct Progress {
  std::string id;
  std::uint32_t total = 0;
  std::uint32_t good = 0;
  std::uint32_t failed = 0;
  std::uint32_t running = 0;
  std::chrono::milliseconds elapsed{0};
  std::uint32_t ended() const { return good + failed; }
};

// One line without its end, at most `style.width` columns. The rate is over the whole time; the
// estimate is left out before the first task has ended.
std::string progress_line(const Progress& progress, const Style& style);

// Draws on standard error at most ten times a second.
class ProgressBar {
 public:
  ProgressBar(const Style& style, bool wanted) : style_(style), shown_(wanted && style.terminal) {}
  void update(const Progress& progress);
  void clear();  // Makes room for other output.

 private:
  Style style_;
  bool shown_ = false;
  bool drawn_ = false;
  std::chrono::steady_clock::time_point last_;
};

}  // namespace shoal::cli
