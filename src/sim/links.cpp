#include "sim/links.hpp"

#include <algorithm>

namespace shoal::sim {
namespace {

constexpr std::uint64_t kSlowFactorMax = 100'000;

void add(Trouble& sum, const Trouble& more) {
  sum.datagrams_cut = sum.datagrams_cut || more.datagrams_cut;
  sum.streams_cut = sum.streams_cut || more.streams_cut;
  sum.streams_stalled = sum.streams_stalled || more.streams_stalled;
  sum.loss_permille = std::max(sum.loss_permille, more.loss_permille);
  sum.duplicate_permille = std::max(sum.duplicate_permille, more.duplicate_permille);
  sum.reorder_permille = std::max(sum.reorder_permille, more.reorder_permille);
  sum.late_per_million = std::max(sum.late_per_million, more.late_per_million);
  sum.corrupt_permille = std::max(sum.corrupt_permille, more.corrupt_permille);
  const std::uint64_t slow = std::uint64_t{sum.slow_factor} * more.slow_factor;
  sum.slow_factor = static_cast<std::uint32_t>(std::min(slow, kSlowFactorMax));
  sum.heavy_tail = std::max(sum.heavy_tail, more.heavy_tail);
  if (more.bytes_per_second != 0 &&
      (sum.bytes_per_second == 0 || more.bytes_per_second < sum.bytes_per_second)) {
    sum.bytes_per_second = more.bytes_per_second;
  }
}

}  // namespace

std::uint64_t Links::begin(std::vector<Link> links, const Trouble& trouble) {
  active_[++last_] = {std::move(links), trouble};
  rebuild();
  return last_;
}

void Links::end(std::uint64_t number) {
  if (active_.erase(number) > 0) rebuild();
}

void Links::clear() {
  active_.clear();
  rebuild();
}

void Links::rebuild() {
  everywhere_ = {};
  size_ = 0;
  for (const auto& [number, active] : active_) {
    if (active.links.empty()) add(everywhere_, active.trouble);
    for (const auto& [from, to] : active.links) {
      size_ = std::max<std::size_t>({size_, from + std::size_t{1}, to + std::size_t{1}});
    }
  }
  matrix_.assign(size_ * size_, everywhere_);
  for (const auto& [number, active] : active_) {
    for (const auto& [from, to] : active.links) add(matrix_[from * size_ + to], active.trouble);
  }
}

}  // namespace shoal::sim
