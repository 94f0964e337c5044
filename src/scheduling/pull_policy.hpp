// Whom an idle node asks for work, and how often (work stealing; Blumofe and Leiserson, JACM 1999,
// with Sparrow's late binding, SOSP 2013): its best hint first, then two random peers.
//
// A peer that had nothing is not asked again for 100 ms x 2^k, at most 2 s, unless it sends a hint.
// At most kPullsOpenMax pulls are under way at once, one to a peer, so that the sum of what is
// asked for does not pass what the node has room for. A pull that is not answered within kPullFresh
// does not count any more: a dead peer must not keep an idle node from asking others. Should it be
// granted something after all, what there is no room for is handed back.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <vector>

#include "base/random.hpp"
#include "base/time.hpp"
#include "scheduling/resources.hpp"
#include "shoal/id.hpp"

namespace shoal::scheduling {

inline constexpr Duration kEmptyPause = std::chrono::milliseconds(100);
inline constexpr Duration kEmptyPauseMax = std::chrono::seconds(2);
inline constexpr Duration kPullTimeout = std::chrono::seconds(1);
inline constexpr Duration kPullFresh = std::chrono::milliseconds(300);
inline constexpr std::size_t kPullsOpenMax = 2;
inline constexpr std::size_t kPullsStaleMax = 16;
inline constexpr std::uint32_t kPullTries = 3;

class PullPolicy {
 public:
  struct OpenPull {
    NodeId victim;
    TimePoint sent;
    Resources asked;
    std::uint32_t count_max = 0;
    std::uint32_t tries = 1;
    bool hinted = false;
    bool stale = false;  // Not answered within kPullFresh.
  };

  // This peer says that it holds ready work.
  void on_hint(NodeId peer, std::uint32_t ready);

  // A peer worth asking now, if one may be asked. Marks nothing: open() does.
  std::optional<NodeId> choose(TimePoint now, std::span<const NodeId> peers, Random& random) const;
  bool hinted(NodeId peer) const { return hints_.contains(peer); }

  void open(std::uint64_t transfer, OpenPull pull);
  // The pull was answered with `items` grants; the victim has `ready` left. Absent: nobody waits
  // for this transfer (any more).
  std::optional<OpenPull> close(TimePoint now, std::uint64_t transfer, std::size_t items,
                                std::uint32_t ready);
  // Pulls unanswered for kPullTimeout: their transfer is to be asked for again, alike, or, after
  // kPullTries, given up (`give_up`): its items, if they come after all, are handed back. Also
  // finds out which are stale.
  struct Overdue {
    std::uint64_t transfer = 0;
    OpenPull pull;
    bool give_up = false;
  };
  std::vector<Overdue> overdue(TimePoint now);
  void forget(NodeId peer);  // Dead or left.

  Resources asked() const;  // By all fresh pulls together.
  bool may_open() const;    // One more pull.
  std::vector<std::uint64_t> open_transfers() const;
  TimePoint wake_at() const;  // When a peer may be asked again.
  TimePoint next_overdue() const;

 private:
  struct Pause {
    TimePoint until;
    Duration length{0};
  };
  bool may_ask(TimePoint now, NodeId peer) const;
  static void lengthen(TimePoint now, Pause& pause);

  std::map<NodeId, std::uint32_t> hints_;
  std::map<NodeId, Pause> pauses_;
  Pause random_pause_;  // Of asking without a hint, whomever.
  std::map<std::uint64_t, OpenPull> open_;
};

}  // namespace shoal::scheduling
