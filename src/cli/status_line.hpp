// How far something is, on standard error: one line kept up to date on a terminal; elsewhere a line
// whenever it has changed, at most every ten seconds.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "cli/render.hpp"

namespace shoal::cli {

class StatusLine {
 public:
  StatusLine(const Style& style, bool wanted) : style_(style), shown_(wanted) {}
  void show(const std::string& text);
  void clear();  // Makes room for other output.

 private:
  Style style_;
  bool shown_ = false;
  bool drawn_ = false;
  std::string last_;
  std::optional<std::chrono::steady_clock::time_point> printed_;
};

}  // namespace shoal::cli
