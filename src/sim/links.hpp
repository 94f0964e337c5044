// What is wrong with which links at the moment. Troubles come and go independently of each other;
// where several meet, they add up.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "base/time.hpp"

namespace shoal::sim {

using NodeIndex = std::uint32_t;
using Link = std::pair<NodeIndex, NodeIndex>;  // One way: from, to.

struct Trouble {
  bool datagrams_cut = false;
  bool streams_cut = false;
  bool streams_stalled = false;  // Nothing arrives, nothing breaks.
  std::uint32_t loss_permille = 0;
  std::uint32_t duplicate_permille = 0;
  std::uint32_t reorder_permille = 0;  // Datagrams held back for up to NetworkOptions' delay.
  std::uint32_t late_per_million = 0;  // The same, for much longer.
  // Datagrams that arrive damaged: dropped by their checksum. Of a stream's messages a hundredth of
  // it, since its packets have checksums of their own; the stream breaks.
  std::uint32_t corrupt_permille = 0;
  std::uint32_t slow_factor = 1;
  Duration heavy_tail{};               // Adds this times 1, 2, 4, ...: each half as likely.
  std::uint64_t bytes_per_second = 0;  // 0: no cap.
};

inline constexpr Trouble kCut{.datagrams_cut = true, .streams_cut = true};

class Links {
 public:
  // An empty list means every link, also those of nodes to come. The number ends it.
  std::uint64_t begin(std::vector<Link> links, const Trouble& trouble);
  void end(std::uint64_t number);  // Unknown numbers are ignored.
  void clear();

  bool quiet() const { return active_.empty(); }
  const Trouble& at(NodeIndex from, NodeIndex to) const {
    if (from >= size_ || to >= size_) return everywhere_;
    return matrix_[from * size_ + to];
  }

 private:
  struct Active {
    std::vector<Link> links;
    Trouble trouble;
  };
  void rebuild();

  std::map<std::uint64_t, Active> active_;
  std::uint64_t last_ = 0;
  Trouble everywhere_;
  std::vector<Trouble> matrix_;  // By from, then to: nodes below size_.
  std::size_t size_ = 0;
};

}  // namespace shoal::sim
