// Several measurements of one thing, told as their median with the least and the greatest.
#pragma once

#include <cstddef>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace shoal::bench {

using Json = nlohmann::ordered_json;

struct Summary {
  double median = 0;
  double min = 0;
  double max = 0;
  std::size_t runs = 0;
};

// All zero when there are no values.
Summary summary_of(std::vector<double> values);

// The value that `share` (0 to 1) of the values do not exceed; 0 when there are none.
double percentile(std::vector<double> values, double share);

Json json_of(const Summary& summary);  // {"median", "min", "max", "runs"}

// "8123 (7900-8312; 5 runs)"
std::string text_of(const Summary& summary, int decimals = 0);

// "8123" or "1.84"
std::string number_text(double value, int decimals = 0);

}  // namespace shoal::bench
