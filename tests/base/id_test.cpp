#include "shoal/id.hpp"

#include <doctest/doctest.h>

#include <string>

#include "base/random.hpp"

namespace shoal {

using namespace std::chrono_literals;

constexpr std::chrono::sys_seconds kMinted =
    std::chrono::sys_days(std::chrono::year{2026} / 11 / 22) + 7h + 10min + 4s;

TEST_CASE("id: a minted job id gives back its time and its retention class") {
  for (const Retention retention :
       {Retention::hour, Retention::week, Retention::month, Retention::quarter}) {
    const JobId id = JobId::mint(kMinted, retention, ~std::uint64_t{0});
    CHECK(id.minted() == kMinted);
    CHECK(id.retention() == retention);
    CHECK((id.value >> 63) == 0);
  }
}

TEST_CASE("id: the first and the last second that can be minted survive") {
  const std::chrono::sys_seconds first = std::chrono::sys_days(std::chrono::year{2025} / 1 / 1);
  const std::chrono::sys_seconds last = first + std::chrono::seconds((1 << 30) - 1);
  CHECK(JobId::mint(first, Retention::hour, 0).minted() == first);
  CHECK(JobId::mint(last, Retention::quarter, 5).minted() == last);
}

TEST_CASE("id: only the low 31 bits of the random number are used") {
  const JobId low = JobId::mint(kMinted, Retention::week, 0x7fffffff);
  CHECK(low == JobId::mint(kMinted, Retention::week, 0xffff'ffff'ffff'ffff));
  CHECK(low != JobId::mint(kMinted, Retention::week, 0x7ffffffe));
}

TEST_CASE("id: a job's text is 13 characters and names the same job again") {
  Random random(1);
  for (int i = 0; i < 1000; ++i) {
    const JobId id{random.next() >> 1};
    const std::string text = to_string(id);
    REQUIRE(text.size() == 13);
    CHECK(text.find_first_of("ilouABCDEFGHIJKLMNOPQRSTUVWXYZ") == std::string::npos);
    CHECK(parse_job_id(text) == id);
  }
}

TEST_CASE("id: a job's text starts with its lowest bits") {
  CHECK(to_string(JobId{1}) == "1000000000000");
  CHECK(to_string(JobId{31}) == "z000000000000");
  CHECK(to_string(JobId{32}) == "0100000000000");
  CHECK(short_text(JobId{32}) == "01000");
  CHECK(short_text(JobId{32}, 7) == "0100000");
  CHECK(short_text(JobId{32}, 2) == "01000");  // Never fewer than five.
}

TEST_CASE("id: every prefix of a job's text matches the job, and few others") {
  const JobId id = JobId::mint(kMinted, Retention::week, 0x1234567);
  const std::string text = to_string(id);
  for (std::size_t length = 1; length <= text.size(); ++length) {
    const auto prefix = parse_job_prefix(text.substr(0, length));
    REQUIRE(prefix);
    CHECK(prefix->matches(id));
    CHECK(prefix->whole() == (length == 13));
    CHECK_FALSE(prefix->matches(JobId{id.value ^ 1}));
  }
}

TEST_CASE("id: what is not a job's text is no prefix") {
  CHECK_FALSE(parse_job_prefix(""));
  CHECK_FALSE(parse_job_prefix("abi"));  // i is not in the alphabet.
  CHECK_FALSE(parse_job_prefix("ABC"));
  CHECK_FALSE(parse_job_prefix("12345678901234"));
  CHECK_FALSE(parse_job_prefix("0000000000008"));  // Would need a 64th bit.
  CHECK(parse_job_prefix("0000000000007"));
  CHECK_FALSE(parse_job_id("0000000000000"));  // Means "no job".
  CHECK_FALSE(parse_job_id("12345"));
}

TEST_CASE("id: a task is written as its job, a point, its index") {
  CHECK(to_string(TaskId{JobId{1}, 42}) == "1000000000000.42");
}

TEST_CASE("id: a node's 32 digits name the same node again") {
  const NodeId id{0x0123456789abcdef, 0xfedcba9876543210};
  CHECK(to_string(id) == "0123456789abcdeffedcba9876543210");
  CHECK(short_text(id) == "012345");
  CHECK(parse_node_id(to_string(id)) == id);
  CHECK(to_string(ClusterId{0, 1}) == "00000000000000000000000000000001");
  CHECK_FALSE(parse_node_id("012345"));
  CHECK_FALSE(parse_node_id("0123456789abcdeffedcba987654321g"));
}

}  // namespace shoal
