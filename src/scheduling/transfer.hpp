// Transfers: each pull has a number, unique at its node, and brings attempts at most once. What the
// owner may conclude from them when an attempt is missing in a renewal (hole 15).
#pragma once

#include <algorithm>
#include <cstdint>

#include "wire/work_messages.hpp"

namespace shoal::scheduling {

inline constexpr unsigned kTransferCounterBits = 40;
inline constexpr std::uint64_t kTransferCounterMax = (std::uint64_t{1} << kTransferCounterBits) - 1;

// Counter 0 stands for no pull: the node, owner of the shard, claimed the task for itself.
constexpr std::uint64_t transfer_id(std::uint64_t boot_epoch, std::uint64_t counter) {
  return boot_epoch << kTransferCounterBits | (counter & kTransferCounterMax);
}
constexpr std::uint64_t transfer_epoch(std::uint64_t transfer) {
  return transfer >> kTransferCounterBits;
}
constexpr bool self_granted(std::uint64_t transfer) {
  return (transfer & kTransferCounterMax) == 0;
}

// The transfer can bring its node nothing any more that the renewal does not name: the node had
// closed it when it sent the renewal, and starts nothing from a closed one. Only what the renewal
// itself says counts; a claim of the node for itself under this boot epoch is for the caller to
// judge.
inline bool closed(std::uint64_t transfer, const wire::Renew& renewal) {
  const std::uint64_t epoch = transfer_epoch(transfer);
  if (epoch != renewal.boot_epoch) return epoch != 0 && epoch < renewal.boot_epoch;
  if (self_granted(transfer) || transfer > renewal.last_transfer) return false;
  return std::ranges::find(renewal.open_transfers, transfer) == renewal.open_transfers.end();
}

}  // namespace shoal::scheduling
