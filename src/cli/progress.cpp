#include "cli/progress.hpp"

#include <algorithm>
#include <cstdio>

#include "base/format.hpp"

namespace shoal::cli {
namespace {

constexpr std::size_t kBarColumns = 20;
constexpr std::chrono::milliseconds kRedraw{100};

std::string bar(std::uint32_t ended, std::uint32_t total, bool unicode) {
  const std::uint64_t all = std::max(total, 1U);
  const std::size_t full = static_cast<std::size_t>(std::uint64_t{ended} * kBarColumns / all);
  std::string text;
  for (std::size_t i = 0; i < kBarColumns; ++i) {
    const bool done = i < full;
    text += unicode ? (done ? "█" : "░") : (done ? "#" : ".");
  }
  return text;
}

}  // namespace

std::string progress_line(const Progress& progress, const Style& style) {
  const std::uint32_t ended = progress.ended();
  std::string line = format("map {}  {}  {}/{}  ok {}  failed {}  running {}", progress.id,
                            bar(ended, progress.total, style.unicode), ended, progress.total,
                            progress.good, progress.failed, progress.running);
  const double seconds = static_cast<double>(progress.elapsed.count()) / 1000;
  if (ended > 0 && seconds > 0) {
    const double rate = static_cast<double>(ended) / seconds;
    const double left = static_cast<double>(progress.total - std::min(progress.total, ended));
    const auto eta = std::chrono::milliseconds(static_cast<std::int64_t>(1000 * left / rate));
    line += format("  {:.{}f}/s  eta {}", rate, rate < 10 ? 1 : 0, age_text(eta));
  }
  // The last column stays free: a terminal would wrap.
  if (style.width > 1) line = cut(line, style.width - 1, style.unicode);
  return line;
}

void ProgressBar::update(const Progress& progress) {
  if (!shown_) return;
  const auto now = std::chrono::steady_clock::now();
  const bool done = progress.ended() >= progress.total;
  if (drawn_ && !done && now - last_ < kRedraw) return;
  last_ = now;
  drawn_ = true;
  std::fprintf(stderr, "\r\x1b[K%s", progress_line(progress, style_).c_str());
  std::fflush(stderr);
}

void ProgressBar::clear() {
  if (!drawn_) return;
  drawn_ = false;
  std::fprintf(stderr, "\r\x1b[K");
  std::fflush(stderr);
}

}  // namespace shoal::cli
