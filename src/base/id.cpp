#include "shoal/id.hpp"

#include <algorithm>
#include <cstddef>

#include "base/assert.hpp"
#include "base/format.hpp"

namespace shoal {
namespace {

// Digits and letters in ascending order, without the four letters that are easily misread (i, l, o)
// or that make words (u).
constexpr std::string_view kAlphabet = "0123456789abcdefghjkmnpqrstvwxyz";
constexpr std::size_t kJobTextLength = 13;
constexpr int kBitsPerLetter = 5;

constexpr int kRandomBits = 31;
constexpr int kRetentionBits = 2;
constexpr int kSecondsBits = 30;
static_assert(kRandomBits + kRetentionBits + kSecondsBits == 63);

constexpr std::uint64_t low_bits(int count) { return (std::uint64_t{1} << count) - 1; }
constexpr std::uint64_t kJobMask = low_bits(63);

constexpr std::chrono::sys_seconds kMintEpoch =
    std::chrono::sys_days(std::chrono::year{2025} / std::chrono::January / 1);

std::string hex(std::uint64_t high, std::uint64_t low) {
  return format("{:016x}{:016x}", high, low);
}

std::optional<std::uint64_t> hex_value(char c) {
  if (c >= '0' && c <= '9') return static_cast<std::uint64_t>(c - '0');
  if (c >= 'a' && c <= 'f') return static_cast<std::uint64_t>(c - 'a' + 10);
  return std::nullopt;
}

}  // namespace

JobId JobId::mint(std::chrono::sys_seconds minted, Retention retention, std::uint64_t random) {
  const auto seconds = (minted - kMintEpoch).count();
  SHOAL_ASSERT(seconds >= 0 && static_cast<std::uint64_t>(seconds) <= low_bits(kSecondsBits));
  std::uint64_t value = static_cast<std::uint64_t>(seconds);
  value = value << kRetentionBits | static_cast<std::uint64_t>(retention);
  value = value << kRandomBits | (random & low_bits(kRandomBits));
  return JobId{value};
}

std::chrono::sys_seconds JobId::minted() const {
  const std::uint64_t seconds = (value & kJobMask) >> (kRandomBits + kRetentionBits);
  return kMintEpoch + std::chrono::seconds(static_cast<std::int64_t>(seconds));
}

Retention JobId::retention() const {
  return static_cast<Retention>(value >> kRandomBits & low_bits(kRetentionBits));
}

std::string to_string(JobId id) {
  std::string text;
  for (std::size_t i = 0; i < kJobTextLength; ++i) {
    text += kAlphabet[id.value & low_bits(kBitsPerLetter)];
    id.value >>= kBitsPerLetter;
  }
  return text;
}

std::string to_string(TaskId id) { return format("{}.{}", to_string(id.job), id.index); }
std::string to_string(NodeId id) { return hex(id.high, id.low); }
std::string to_string(ClusterId id) { return hex(id.high, id.low); }
std::string short_text(NodeId id) { return to_string(id).substr(0, 6); }

std::string short_text(JobId id, std::size_t length) {
  return to_string(id).substr(0, std::max<std::size_t>(length, 5));
}

std::optional<JobPrefix> parse_job_prefix(std::string_view text) {
  if (text.empty() || text.size() > kJobTextLength) return std::nullopt;
  JobPrefix prefix;
  int shift = 0;
  for (const char c : text) {
    const std::size_t letter = kAlphabet.find(c);
    if (letter == std::string_view::npos) return std::nullopt;
    const std::uint64_t bits = std::uint64_t{letter} << shift;
    // The thirteenth letter has room for three bits only.
    if ((bits & kJobMask) >> shift != letter) return std::nullopt;
    prefix.bits |= bits;
    prefix.mask |= low_bits(kBitsPerLetter) << shift;
    shift += kBitsPerLetter;
  }
  prefix.mask &= kJobMask;
  return prefix;
}

std::optional<JobId> parse_job_id(std::string_view text) {
  const std::optional<JobPrefix> prefix = parse_job_prefix(text);
  if (!prefix || !prefix->whole() || prefix->bits == 0) return std::nullopt;
  return JobId{prefix->bits};
}

std::optional<NodeId> parse_node_id(std::string_view text) {
  if (text.size() != 32) return std::nullopt;
  NodeId id;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const std::optional<std::uint64_t> digit = hex_value(text[i]);
    if (!digit) return std::nullopt;
    std::uint64_t& half = i < 16 ? id.high : id.low;
    half = half << 4 | *digit;
  }
  return id;
}

}  // namespace shoal
