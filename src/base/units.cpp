#include "base/units.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <optional>

#include "base/format.hpp"

namespace shoal {
namespace {

using std::chrono::milliseconds;

constexpr std::uint64_t kSecond = 1000;
constexpr std::uint64_t kMinute = 60 * kSecond;
constexpr std::uint64_t kHour = 60 * kMinute;
constexpr std::uint64_t kDay = 24 * kHour;
// A century. Keeps every sum of a moment and a duration inside 64 bits of nanoseconds.
constexpr std::uint64_t kDurationMax = 36'525 * kDay;
constexpr std::uint32_t kCpuMillisMax = 1'000'000;
constexpr std::size_t kFractionDigitsMax = 6;

struct Unit {
  std::string_view name;
  std::uint64_t scale;
};

// Largest first: duration_text() and "each unit once, in falling order" both rest on it.
constexpr std::array<Unit, 5> kTimeUnits{
    {{"d", kDay}, {"h", kHour}, {"m", kMinute}, {"s", kSecond}, {"ms", 1}}};

constexpr std::array<Unit, 4> kSizeUnits{{{"T", std::uint64_t{1} << 40},
                                          {"G", std::uint64_t{1} << 30},
                                          {"M", std::uint64_t{1} << 20},
                                          {"K", std::uint64_t{1} << 10}}};

bool digit(char c) { return c >= '0' && c <= '9'; }

std::optional<std::uint64_t> whole_number(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// Takes the number (digits and a point) off the front of `text`.
std::string_view take_number(std::string_view& text) {
  const auto end = std::ranges::find_if(text, [](char c) { return !digit(c) && c != '.'; });
  const std::string_view number(text.begin(), end);
  text.remove_prefix(number.size());
  return number;
}

// `number` x `scale`, rounded down; absent when it is not a number, has too many digits behind the
// point, or the product does not fit.
std::optional<std::uint64_t> scaled(std::string_view number, std::uint64_t scale) {
  const std::size_t point = number.find('.');
  const std::optional<std::uint64_t> whole = whole_number(number.substr(0, point));
  if (!whole || *whole > std::numeric_limits<std::uint64_t>::max() / scale) return std::nullopt;
  std::uint64_t value = *whole * scale;
  if (point == std::string_view::npos) return value;

  const std::string_view digits = number.substr(point + 1);
  const std::optional<std::uint64_t> fraction = whole_number(digits);
  if (!fraction || digits.size() > kFractionDigitsMax) return std::nullopt;
  std::uint64_t ten_power = 1;
  for (std::size_t i = 0; i < digits.size(); ++i) ten_power *= 10;
  const std::uint64_t part = *fraction * scale / ten_power;  // At most 10^6 x 2^40: fits.
  if (value > std::numeric_limits<std::uint64_t>::max() - part) return std::nullopt;
  return value + part;
}

// HH:MM:SS, with any number of hours.
std::optional<std::uint64_t> clock_notation(std::string_view text) {
  if (text.size() < 7 || text[text.size() - 3] != ':' || text[text.size() - 6] != ':') {
    return std::nullopt;
  }
  const auto hours = whole_number(text.substr(0, text.size() - 6));
  const auto minutes = whole_number(text.substr(text.size() - 5, 2));
  const auto seconds = whole_number(text.substr(text.size() - 2));
  if (!hours || !minutes || !seconds || *minutes > 59 || *seconds > 59) return std::nullopt;
  if (*hours > kDurationMax / kHour) return kDurationMax + 1;  // Refused by the caller as too long.
  return *hours * kHour + *minutes * kMinute + *seconds * kSecond;
}

// Numbers with units, each unit at most once and the larger first: `2h30m`.
std::optional<std::uint64_t> unit_notation(std::string_view text) {
  std::uint64_t total = 0;
  auto allowed = kTimeUnits.begin();
  while (!text.empty()) {
    const std::string_view number = take_number(text);
    const auto end = std::ranges::find_if(text, [](char c) { return digit(c) || c == '.'; });
    const std::string_view name(text.begin(), end);
    text.remove_prefix(name.size());
    const auto unit = std::ranges::find(allowed, kTimeUnits.end(), name, &Unit::name);
    if (unit == kTimeUnits.end()) return std::nullopt;
    allowed = unit + 1;
    const std::optional<std::uint64_t> value = scaled(number, unit->scale);
    if (!value) return std::nullopt;
    if (*value > kDurationMax) return kDurationMax + 1;
    total += *value;
  }
  return total;
}

std::string_view shown(std::string_view text) { return text.substr(0, 40); }

}  // namespace

Result<milliseconds> parse_duration(std::string_view text) {
  std::optional<std::uint64_t> value;
  if (text.empty()) {
    // Stays absent.
  } else if (text.find(':') != std::string_view::npos) {
    value = clock_notation(text);
  } else if (std::ranges::all_of(text, [](char c) { return digit(c) || c == '.'; })) {
    value = scaled(text, kSecond);
  } else {
    value = unit_notation(text);
  }
  if (!value) {
    return fail(
        ErrorCode::bad_input,
        format("'{}' is not a duration. Write a number of seconds, or numbers with the units "
               "d, h, m, s, ms, the larger first: 90s, 2h30m, 250ms, 00:10:00.",
               shown(text)));
  }
  if (*value > kDurationMax) {
    return fail(ErrorCode::bad_input,
                format("'{}' is too long: a duration is at most 36525d.", shown(text)));
  }
  return milliseconds(static_cast<std::int64_t>(*value));
}

Result<std::uint64_t> parse_size(std::string_view text) {
  std::string_view unit_text = text;
  const std::string_view number = take_number(unit_text);
  std::optional<std::uint64_t> value;
  if (unit_text.empty() || unit_text == "B") {
    value = whole_number(number);
  } else if (unit_text.size() == 1 || unit_text.substr(1) == "iB") {
    const char letter = unit_text.front() == 'k' ? 'K' : unit_text.front();
    const auto unit = std::ranges::find(kSizeUnits, std::string_view(&letter, 1), &Unit::name);
    if (unit != kSizeUnits.end()) value = scaled(number, unit->scale);
  }
  if (!value) {
    return fail(ErrorCode::bad_input,
                format("'{}' is not a size. Write a number of bytes, or a number with K, M, G or T "
                       "(multiples of 1024, also as KiB, MiB, ...): 512MiB, 4G, 1.5GiB.",
                       shown(text)));
  }
  return *value;
}

Result<std::uint32_t> parse_cpus(std::string_view text) {
  const std::size_t point = text.find('.');
  const bool too_fine = point != std::string_view::npos && text.size() - point - 1 > 3;
  const std::optional<std::uint64_t> value = too_fine ? std::nullopt : scaled(text, 1000);
  if (!value || *value > kCpuMillisMax) {
    return fail(ErrorCode::bad_input,
                format("'{}' is not a number of cpus. Write a number from 0 to 1000 with at most "
                       "three digits behind the point: 2, 0.5.",
                       shown(text)));
  }
  return static_cast<std::uint32_t>(*value);
}

std::string duration_text(milliseconds duration) {
  if (duration < milliseconds(0)) return "-" + duration_text(-duration);
  auto rest = static_cast<std::uint64_t>(duration.count());
  if (rest < kMinute) {
    std::string text = format("{}.{:03}", rest / kSecond, rest % kSecond);
    while (text.ends_with('0')) text.pop_back();
    if (text.ends_with('.')) text.pop_back();
    return text + "s";
  }
  // The two largest units say enough: 1d2h, 2m3s.
  const auto* unit =
      std::ranges::find_if(kTimeUnits, [&](const Unit& each) { return rest >= each.scale; });
  std::string text = format("{}{}", rest / unit->scale, unit->name);
  rest %= unit->scale;
  ++unit;
  if (rest >= unit->scale) text += format("{}{}", rest / unit->scale, unit->name);
  return text;
}

std::string size_text(std::uint64_t bytes) {
  const auto* unit =
      std::ranges::find_if(kSizeUnits, [&](const Unit& each) { return bytes >= each.scale; });
  if (unit == kSizeUnits.end()) return format("{} B", bytes);
  const std::uint64_t tenths = bytes % unit->scale * 10 / unit->scale;
  return format("{}.{} {}iB", bytes / unit->scale, tenths, unit->name);
}

std::string rfc3339(WallTime time) {
  const auto day = std::chrono::floor<std::chrono::days>(time);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss clock(time - day);
  return format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", static_cast<int>(date.year()),
                static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                clock.hours().count(), clock.minutes().count(), clock.seconds().count(),
                clock.subseconds().count());
}

}  // namespace shoal
