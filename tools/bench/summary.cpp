#include "tools/bench/summary.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

namespace shoal::bench {
namespace {

// Enough digits for every figure here, and no more: JSON is read by people too.
double rounded(double value) {
  const double scale = std::abs(value) < 100 ? 10'000 : 10;
  return std::round(value * scale) / scale;
}

}  // namespace

Summary summary_of(std::vector<double> values) {
  if (values.empty()) return {};
  std::ranges::sort(values);
  const std::size_t middle = values.size() / 2;
  const bool odd = values.size() % 2 == 1;
  const double median = odd ? values[middle] : (values[middle - 1] + values[middle]) / 2;
  return {.median = median, .min = values.front(), .max = values.back(), .runs = values.size()};
}

double percentile(std::vector<double> values, double share) {
  if (values.empty()) return 0;
  std::ranges::sort(values);
  const double place = std::ceil(share * static_cast<double>(values.size()));
  const auto rank = static_cast<std::size_t>(std::max(1.0, place));
  return values[std::min(rank, values.size()) - 1];
}

Json json_of(const Summary& summary) {
  return {{"median", rounded(summary.median)},
          {"min", rounded(summary.min)},
          {"max", rounded(summary.max)},
          {"runs", summary.runs}};
}

std::string number_text(double value, int decimals) {
  std::array<char, 64> buffer{};
  std::snprintf(buffer.data(), buffer.size(), "%.*f", decimals, value);
  return buffer.data();
}

std::string text_of(const Summary& summary, int decimals) {
  return number_text(summary.median, decimals) + " (" + number_text(summary.min, decimals) + "-" +
         number_text(summary.max, decimals) + "; " + std::to_string(summary.runs) +
         (summary.runs == 1 ? " run)" : " runs)");
}

}  // namespace shoal::bench
