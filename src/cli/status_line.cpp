#include "cli/status_line.hpp"

#include <cstdio>

namespace shoal::cli {
namespace {

constexpr std::chrono::seconds kLineInterval{10};

}  // namespace

void StatusLine::show(const std::string& text) {
  if (!shown_ || text == last_) return;
  const auto now = std::chrono::steady_clock::now();
  if (style_.terminal) {
    // The last column stays free: a terminal would wrap.
    const std::string line = style_.width > 1 ? cut(text, style_.width - 1, style_.unicode) : text;
    std::fprintf(stderr, "\r\x1b[K%s", line.c_str());
    drawn_ = true;
  } else {
    if (printed_ && now - *printed_ < kLineInterval) return;
    printed_ = now;
    std::fprintf(stderr, "%s\n", text.c_str());
  }
  std::fflush(stderr);
  last_ = text;
}

void StatusLine::clear() {
  if (!drawn_) return;
  drawn_ = false;
  last_.clear();
  std::fprintf(stderr, "\r\x1b[K");
  std::fflush(stderr);
}

}  // namespace shoal::cli
