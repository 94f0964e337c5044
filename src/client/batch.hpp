// How an array's elements are cut into CreateTasks requests.
#pragma once

#include <cstddef>
#include <span>
#include <string>

namespace shoal::client {

inline constexpr std::size_t kBatchElementsMax = 1024;
inline constexpr std::size_t kBatchBytesMax = 256 * 1024;
// Elements of one run share a shard: a batch ends between two runs where it can.
inline constexpr std::size_t kRunElements = 32;

// How many elements the batch that begins at `from` takes: at least one, within the limits.
// REQUIRES: from < arguments.size().
std::size_t batch_size(std::span<const std::string> arguments, std::size_t from);

}  // namespace shoal::client
