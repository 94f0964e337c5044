// Durations and sizes as people write them, for every command line, job file and error text.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/time.hpp"
#include "shoal/result.hpp"

namespace shoal {

// `90s`, `5m`, `2h30m`, `1d`, `250ms`, `00:10:00`; a bare number is seconds. Not negative.
Result<std::chrono::milliseconds> parse_duration(std::string_view text);

// `512MiB`, `4G`, `100k`, `1.5GiB`, a bare number of bytes. K, M, G, T count in 1024s with or
// without `iB`.
Result<std::uint64_t> parse_size(std::string_view text);

// `0.5`, `2`: cpus in thousandths. Result is at most 1,000,000 (1000 cpus).
Result<std::uint32_t> parse_cpus(std::string_view text);

std::string duration_text(std::chrono::milliseconds duration);  // "2m3s", "0.02s", "3d"
std::string size_text(std::uint64_t bytes);                     // "64.0 MiB"
std::string rfc3339(WallTime time);                             // 2026-11-22T07:10:04.123Z

}  // namespace shoal
