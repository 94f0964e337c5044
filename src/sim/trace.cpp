#include "sim/trace.hpp"

#include <array>
#include <cstddef>
#include <string_view>

#include "base/hash.hpp"
#include "base/random.hpp"

namespace shoal::sim {
namespace {

template <class T>
std::uint64_t fields_hash(const T& value) {
  std::uint64_t hash = 0;
  if constexpr (requires { value.sequence; }) hash = mix64(hash ^ value.sequence);
  if constexpr (requires { value.transfer; }) hash = mix64(hash ^ value.transfer);
  if constexpr (requires { value.round; }) hash = mix64(hash ^ value.round);
  if constexpr (requires { value.watch; }) hash = mix64(hash ^ value.watch);
  if constexpr (requires { value.number; }) hash = mix64(hash ^ value.number);
  if constexpr (requires { value.ready; }) hash = mix64(hash ^ value.ready);
  if constexpr (requires { value.items.size(); }) hash = mix64(hash ^ value.items.size());
  if constexpr (requires { value.news.size(); }) {
    hash = mix64(hash ^ value.news.size());
    if (!value.news.empty()) hash = mix64(hash ^ value.news.front().node.low);
  }
  if constexpr (requires { value.records.size(); }) hash = mix64(hash ^ value.records.size());
  if constexpr (requires { value.entries.size(); }) hash = mix64(hash ^ value.entries.size());
  if constexpr (requires { value.tasks.size(); }) hash = mix64(hash ^ value.tasks.size());
  return hash;
}

}  // namespace

void Trace::add(TimePoint at, std::uint32_t node, TraceKind kind, std::uint64_t content) {
  const std::array<std::uint64_t, 3> words{
      static_cast<std::uint64_t>(at.time_since_epoch().count()),
      static_cast<std::uint64_t>(node) << 8 | static_cast<std::uint64_t>(kind), content};
  std::array<char, words.size() * 8> bytes{};
  std::size_t at_byte = 0;
  for (const std::uint64_t word : words) {
    for (int shift = 0; shift < 64; shift += 8) {
      bytes[at_byte++] = static_cast<char>(word >> shift);
    }
  }
  hash_ = hash64(std::string_view(bytes.data(), bytes.size()), hash_);
  ++events_;
}

std::uint64_t content_hash(const wire::Message& message) {
  return mix64(message.index()) ^
         std::visit([](const auto& value) { return fields_hash(value); }, message);
}

std::uint64_t content_hash(const wire::ClientReply& reply) {
  return mix64(reply.id ^ reply.body.index() << 56) ^
         std::visit([](const auto& value) { return fields_hash(value); }, reply.body);
}

std::uint64_t content_hash(const AttemptId& attempt) {
  return mix64(attempt.task.job.value) ^ mix64(attempt.task.index) ^ attempt.number;
}

}  // namespace shoal::sim
