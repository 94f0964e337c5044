#include "tools/chaos/text.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <numeric>
#include <optional>
#include <utility>

namespace shoal::chaos {
namespace {

constexpr double kDurationMicrosMax = 30.0 * 24 * 3600 * 1e6;

struct Unit {
  std::string_view word;
  double factor;
};

constexpr Unit kTimeUnits[] = {{"us", 1},   {"ms", 1e3},    {"s", 1e6},
                               {"m", 60e6}, {"h", 3'600e6}, {"d", 86'400e6}};
constexpr Unit kSizeUnits[] = {{"", 1},
                               {"B", 1},
                               {"k", 1024},
                               {"K", 1024},
                               {"KiB", 1024},
                               {"M", 1024.0 * 1024},
                               {"MiB", 1024.0 * 1024},
                               {"G", 1024.0 * 1024 * 1024},
                               {"GiB", 1024.0 * 1024 * 1024},
                               {"T", 1024.0 * 1024 * 1024 * 1024},
                               {"TiB", 1024.0 * 1024 * 1024 * 1024}};

// Takes a number such as 2 or 0.5 off the front.
std::optional<double> take_number(std::string_view& rest) {
  double value = 0;
  const auto [end, error] =
      std::from_chars(rest.data(), rest.data() + rest.size(), value, std::chars_format::fixed);
  if (error != std::errc() || !std::isfinite(value)) return std::nullopt;
  rest.remove_prefix(static_cast<std::size_t>(end - rest.data()));
  return value;
}

std::string_view take_word(std::string_view& rest) {
  std::size_t length = 0;
  while (length < rest.size() && std::isalpha(static_cast<unsigned char>(rest[length])) != 0) {
    ++length;
  }
  const std::string_view word = rest.substr(0, length);
  rest.remove_prefix(length);
  return word;
}

// Microseconds; absent when it is no duration.
std::optional<double> micros_of(std::string_view rest) {
  if (rest == "0") return 0;
  double sum = 0;
  bool any = false;
  while (!rest.empty()) {
    const auto value = take_number(rest);
    const std::string_view word = take_word(rest);
    const auto unit = std::ranges::find(kTimeUnits, word, &Unit::word);
    if (!value || *value < 0 || unit == std::end(kTimeUnits)) return std::nullopt;
    sum += *value * unit->factor;
    any = true;
  }
  if (!any || sum > kDurationMicrosMax) return std::nullopt;
  return sum;
}

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i);
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, replaced});
    }
  }
  return row.back();
}

}  // namespace

std::string joined(std::span<const std::string> words, std::string_view between) {
  std::string whole;
  for (const std::string& word : words) {
    if (!whole.empty()) whole += between;
    whole += word;
  }
  return whole;
}

std::vector<std::string> split(std::string_view whole, char at) {
  std::vector<std::string> pieces;
  while (true) {
    const std::size_t found = whole.find(at);
    pieces.emplace_back(trimmed(whole.substr(0, found)));
    if (found == std::string_view::npos) return pieces;
    whole.remove_prefix(found + 1);
  }
}

std::string_view trimmed(std::string_view whole) {
  constexpr std::string_view kBlank = " \t\r\n";
  const std::size_t first = whole.find_first_not_of(kBlank);
  if (first == std::string_view::npos) return {};
  return whole.substr(first, whole.find_last_not_of(kBlank) - first + 1);
}

std::vector<std::string> put_last(std::span<const std::string> words,
                                  std::span<const std::string> later) {
  std::vector<std::string> whole;
  for (const bool last : {false, true}) {
    for (const std::string& word : words) {
      if ((std::ranges::find(later, word) != later.end()) == last) whole.push_back(word);
    }
  }
  return whole;
}

std::string shell_word(std::string_view word) {
  const auto plain = [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 ||
           std::string_view("-_./:=,@%+~").find(c) != std::string_view::npos;
  };
  if (!word.empty() && std::ranges::all_of(word, plain)) return std::string(word);
  std::string whole = "'";
  for (const char c : word) whole += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return whole + "'";
}

std::string shell_line(std::span<const std::string> words) {
  std::string line;
  for (const std::string& word : words) line += (line.empty() ? "" : " ") + shell_word(word);
  return line;
}

Result<std::chrono::microseconds> parse_short_duration(std::string_view whole) {
  const auto micros = micros_of(trimmed(whole));
  if (!micros) {
    return fail(ErrorCode::bad_input, text("'", whole,
                                           "' is no duration: write it as 250ms, 90s, "
                                           "5m or 2h30m, at most 30d"));
  }
  return std::chrono::microseconds(std::llround(*micros));
}

Result<Ms> parse_duration(std::string_view whole) {
  const auto micros = parse_short_duration(whole);
  if (!micros) return std::unexpected(micros.error());
  return std::chrono::duration_cast<Ms>(*micros);
}

Result<std::uint64_t> parse_size(std::string_view whole) {
  std::string_view rest = trimmed(whole);
  const auto value = take_number(rest);
  const auto unit = std::ranges::find(kSizeUnits, rest, &Unit::word);
  if (!value || *value < 0 || unit == std::end(kSizeUnits) || *value * unit->factor > 1e15) {
    return fail(ErrorCode::bad_input,
                text("'", whole, "' is no size: write it as 512MiB, 4G or a number of bytes"));
  }
  return static_cast<std::uint64_t>(*value * unit->factor);
}

Result<double> parse_percent(std::string_view whole) {
  std::string_view rest = trimmed(whole);
  const auto value = take_number(rest);
  if (!value || (!rest.empty() && rest != "%") || *value < 0 || *value > 100) {
    return fail(ErrorCode::bad_input,
                text("'", whole, "' is no share: write it as 20%, from 0% to 100%"));
  }
  return *value;
}

Result<double> parse_number(std::string_view whole) {
  std::string_view rest = trimmed(whole);
  const auto value = take_number(rest);
  if (!value || !rest.empty()) {
    return fail(ErrorCode::bad_input, text("'", whole, "' is no number"));
  }
  return *value;
}

Result<Span> parse_span(std::string_view whole) {
  const std::vector<std::string> ends = split(whole, '~');
  const auto least = parse_duration(ends.front());
  if (!least) return std::unexpected(least.error());
  if (ends.size() == 1) return Span{*least, *least};
  const auto most = parse_duration(ends.back());
  if (!most) return std::unexpected(most.error());
  if (ends.size() > 2 || *most < *least) {
    return fail(ErrorCode::bad_input,
                text("'", whole, "' is no range: write the least first, such as 5s~20s"));
  }
  return Span{*least, *most};
}

std::string duration_text(Ms time) { return duration_text(Time(time)); }

std::string duration_text(Time time) {
  const double seconds = static_cast<double>(time.count()) / 1e6;
  if (time < std::chrono::milliseconds(10) && time.count() % 1000 != 0) {
    return number_text(seconds * 1e3, 1) + "ms";
  }
  if (seconds < 1) return text(time.count() / 1000, "ms");
  if (seconds < 60) {
    std::string figure = number_text(seconds, 2);
    while (figure.back() == '0') figure.pop_back();
    if (figure.back() == '.') figure.pop_back();
    return figure + "s";
  }
  const auto whole = static_cast<std::int64_t>(std::llround(seconds));
  const std::int64_t hours = whole / 3600;
  std::string figure = hours > 0 ? text(hours, "h") : "";
  if (whole % 3600 / 60 > 0) figure += text(whole % 3600 / 60, "m");
  if (whole % 60 > 0 && hours == 0) figure += text(whole % 60, "s");
  return figure;
}

std::string size_text(std::uint64_t bytes) {
  constexpr std::array<const char*, 5> kUnits{"B", "KiB", "MiB", "GiB", "TiB"};
  auto value = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (value >= 1024 && unit + 1 < kUnits.size()) {
    value /= 1024;
    ++unit;
  }
  return text(number_text(value, unit == 0 ? 0 : 1), " ", kUnits[unit]);
}

std::string number_text(double value, int decimals) {
  std::array<char, 64> buffer{};
  std::snprintf(buffer.data(), buffer.size(), "%.*f", decimals, value);
  return buffer.data();
}

std::string nearest(std::string_view word, std::span<const std::string> known) {
  std::string best;
  std::size_t distance_min = 1 + std::min<std::size_t>(3, word.size() / 2);
  for (const std::string& each : known) {
    std::size_t distance = edit_distance(word, each);
    if (word.size() >= 3 && each.starts_with(word)) distance = std::min<std::size_t>(distance, 1);
    if (distance < distance_min) {
      distance_min = distance;
      best = each;
    }
  }
  return best;
}

std::string suggestion(std::string_view word, std::span<const std::string> known) {
  const std::string meant = nearest(word, known);
  if (!meant.empty()) return text(" Did you mean '", meant, "'?");
  return text(" There are: ", joined(known), ".");
}

}  // namespace shoal::chaos
