// Words and figures as people write and read them: in scenarios, on command lines, in reports.
#pragma once

#include <chrono>
#include <concepts>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "shoal/result.hpp"

namespace shoal::chaos {

using Ms = std::chrono::milliseconds;
// Time of a run: since its start, by the machine's steady clock.
using Time = std::chrono::microseconds;

inline void append(std::string& to, std::string_view piece) { to += piece; }
inline void append(std::string& to, const char* piece) { to += piece; }
inline void append(std::string& to, const std::string& piece) { to += piece; }
inline void append(std::string& to, char piece) { to += piece; }
template <std::integral T>
void append(std::string& to, T piece) {
  to += std::to_string(piece);
}

// All pieces after each other.
template <class... Pieces>
std::string text(const Pieces&... pieces) {
  std::string whole;
  (append(whole, pieces), ...);
  return whole;
}

std::string joined(std::span<const std::string> words, std::string_view between = ", ");
std::vector<std::string> split(std::string_view whole, char at);
std::string_view trimmed(std::string_view whole);

// In their order, but those that are in `later` after the others.
std::vector<std::string> put_last(std::span<const std::string> words,
                                  std::span<const std::string> later);

// As a shell would read it back: plain words as they are, others in single quotes.
std::string shell_word(std::string_view word);
std::string shell_line(std::span<const std::string> words);

// "90s", "5m", "2h30m", "250ms", "1d", "0". Not negative, at most 30 days.
Result<Ms> parse_duration(std::string_view whole);
// The same, and "5us" too; for the length of single tasks.
Result<std::chrono::microseconds> parse_short_duration(std::string_view whole);
// "512MiB", "4G", "100k", a bare number of bytes. Counts in 1024s.
Result<std::uint64_t> parse_size(std::string_view whole);
// "20%" or "20": 20. From 0 to 100.
Result<double> parse_percent(std::string_view whole);
Result<double> parse_number(std::string_view whole);

// From least to most; "5s" alone stands for both ends, "5s~20s" for a range.
struct Span {
  Ms least{0};
  Ms most{0};
  bool operator==(const Span&) const = default;
};
Result<Span> parse_span(std::string_view whole);

std::string duration_text(Ms time);  // "250ms", "1.5s", "2m3s"
std::string duration_text(Time time);
std::string size_text(std::uint64_t bytes);
std::string number_text(double value, int decimals);

// The one of `known` that `word` is most likely meant to be; empty when none is near.
std::string nearest(std::string_view word, std::span<const std::string> known);
// " Did you mean 'x'?" or, when nothing is near, " There are: a, b, c."
std::string suggestion(std::string_view word, std::span<const std::string> known);

}  // namespace shoal::chaos
