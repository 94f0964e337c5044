#include "client/batch.hpp"

#include <algorithm>

#include "base/assert.hpp"

namespace shoal::client {

std::size_t batch_size(std::span<const std::string> arguments, std::size_t from) {
  SHOAL_ASSERT(from < arguments.size());
  constexpr std::size_t kElementOverhead = 32;
  const std::size_t end = std::min(arguments.size(), from + kBatchElementsMax);
  std::size_t bytes = 0;
  std::size_t at = from;
  while (at < end) {
    bytes += arguments[at].size() + kElementOverhead;
    if (bytes > kBatchBytesMax && at > from) break;
    ++at;
  }
  if (at == arguments.size()) return at - from;
  const std::size_t whole_runs = at / kRunElements * kRunElements;
  return whole_runs > from ? whole_runs - from : at - from;
}

}  // namespace shoal::client
