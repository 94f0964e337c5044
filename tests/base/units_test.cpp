#include "base/units.hpp"

#include <doctest/doctest.h>

#include <string>

namespace shoal {

using namespace std::chrono_literals;

TEST_CASE("units: a duration may be written in each of its forms") {
  CHECK(parse_duration("90s") == 90'000ms);
  CHECK(parse_duration("5m") == 300'000ms);
  CHECK(parse_duration("2h30m") == 9'000'000ms);
  CHECK(parse_duration("1d") == 86'400'000ms);
  CHECK(parse_duration("250ms") == 250ms);
  CHECK(parse_duration("00:10:00") == 600'000ms);
  CHECK(parse_duration("100:00:01") == 360'001'000ms);
  CHECK(parse_duration("7") == 7'000ms);
  CHECK(parse_duration("0.25") == 250ms);
  CHECK(parse_duration("1.5h") == 5'400'000ms);
  CHECK(parse_duration("0") == 0ms);
}

TEST_CASE("units: what is no duration is refused with the forms to write") {
  for (const std::string text : {"",      "s",     "-1s",    "5x",  "5m5m", "5s5m",     "1h30",
                                 "1..5",  ".",     "1.2.3s", ".5s", "5.s",  "00:60:00", "00:00:60",
                                 "1:2:3", "10:00", " 5s",    "5 s", "1e3",  "0.1234567"}) {
    const auto duration = parse_duration(text);
    REQUIRE_FALSE_MESSAGE(duration, text);
    CHECK(duration.error().code == ErrorCode::bad_input);
    CHECK(duration.error().message.find("2h30m") != std::string::npos);
  }
}

TEST_CASE("units: a duration is at most a century") {
  CHECK(parse_duration("36525d"));
  for (const std::string text : {"36526d", "36525d1ms", "99999999999d", "9999999999:00:00"}) {
    CHECK_FALSE_MESSAGE(parse_duration(text), text);
  }
  CHECK_FALSE(parse_duration("99999999999999999999999"));
}

TEST_CASE("units: sizes count in multiples of 1024, with or without iB") {
  CHECK(parse_size("0") == 0u);
  CHECK(parse_size("1000") == 1000u);
  CHECK(parse_size("100B") == 100u);
  CHECK(parse_size("100k") == 100u * 1024);
  CHECK(parse_size("100K") == 100u * 1024);
  CHECK(parse_size("512MiB") == 512u * 1024 * 1024);
  CHECK(parse_size("4G") == std::uint64_t{4} << 30);
  CHECK(parse_size("1.5GiB") == std::uint64_t{3} << 29);
  CHECK(parse_size("2TiB") == std::uint64_t{2} << 40);
}

TEST_CASE("units: what is no size, or does not fit, is refused") {
  for (const std::string text :
       {"", "M", "-1", "1.5", "5X", "5MB", "5 M", "5Mi", "1..5G", "99999999999T", "5m", "KiB"}) {
    const auto size = parse_size(text);
    REQUIRE_FALSE_MESSAGE(size, text);
    CHECK(size.error().message.find("512MiB") != std::string::npos);
  }
}

TEST_CASE("units: cpus are read exactly, in thousandths") {
  CHECK(parse_cpus("0") == 0u);
  CHECK(parse_cpus("0.5") == 500u);
  CHECK(parse_cpus("0.001") == 1u);
  CHECK(parse_cpus("2") == 2000u);
  CHECK(parse_cpus("1000") == 1'000'000u);
  for (const std::string text : {"", "1000.001", "1001", "0.0005", "-1", "1c", "1.", "."}) {
    CHECK_FALSE_MESSAGE(parse_cpus(text), text);
  }
}

TEST_CASE("units: a duration is shown by its two largest units") {
  CHECK(duration_text(0ms) == "0s");
  CHECK(duration_text(20ms) == "0.02s");
  CHECK(duration_text(3s) == "3s");
  CHECK(duration_text(59'999ms) == "59.999s");
  CHECK(duration_text(123s) == "2m3s");
  CHECK(duration_text(2h + 30min) == "2h30m");
  CHECK(duration_text(72h) == "3d");
  CHECK(duration_text(26h + 3min) == "1d2h");
  CHECK(duration_text(24h + 3min) == "1d");  // The units are neighbours.
  CHECK(duration_text(-20ms) == "-0.02s");
}

TEST_CASE("units: a shown duration can be read again") {
  for (const auto duration : {0ms, 1ms, 1500ms, 90'000ms, 7'200'000ms, 9'000'000ms}) {
    CHECK(parse_duration(duration_text(duration)) == duration);
  }
}

TEST_CASE("units: a size is shown with one digit behind the point, rounded down") {
  CHECK(size_text(0) == "0 B");
  CHECK(size_text(1023) == "1023 B");
  CHECK(size_text(1024) == "1.0 KiB");
  CHECK(size_text(1536) == "1.5 KiB");
  CHECK(size_text(64u * 1024 * 1024) == "64.0 MiB");
  CHECK(size_text(~std::uint64_t{0}) == "16777215.9 TiB");
}

TEST_CASE("units: a moment is shown in UTC with milliseconds") {
  const WallTime time =
      std::chrono::sys_days(std::chrono::year{2026} / 11 / 22) + 7h + 10min + 4s + 123ms;
  CHECK(rfc3339(time) == "2026-11-22T07:10:04.123Z");
  CHECK(rfc3339(WallTime{} - 1ms) == "1969-12-31T23:59:59.999Z");
}

}  // namespace shoal
