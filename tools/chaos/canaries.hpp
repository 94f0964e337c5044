// How long a cluster takes no submissions for some of its shards: after each fault that may cost
// shards their owner, one tiny task is handed in for each of them, again and again until it is
// acknowledged.
//
// Before the faults begin, ids are minted until there are some for every shard. A shard's ids are
// used one after the other; when they run out the oldest is put again, which is answered under the
// same conditions but writes nothing.
//
// Events: {"event":"canaries","shards","known"} when the ids are there;
// {"event":"recovered","fault","shards","last_us","p50_us","open"}: `last_us` is the time of the
// last acknowledgement; `open` counts shards that had none when the patience was over.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "shoal/client.hpp"
#include "tools/chaos/crew.hpp"
#include "tools/chaos/history.hpp"
#include "tools/chaos/random.hpp"

namespace shoal::chaos {

class Canaries {
 public:
  Canaries(Crew& crew, Recording& recording, History& history, std::vector<std::string> addresses,
           std::uint64_t seed);

  void start();  // Gathers ids.
  void close();  // As Load::close().
  // Sends one for each of `shards` (a part of them if they are many, unless `fault` is 0); `fault`
  // names the event.
  // `away` are addresses not to begin with.
  void send(std::uint32_t fault, std::vector<std::uint32_t> shards,
            const std::vector<std::string>& away);
  // Those that are still in the air are counted as open.
  void land_all();
  bool flying() const { return in_the_air_ > 0; }
  std::uint32_t shards() const { return static_cast<std::uint32_t>(ids_.size()); }
  // Each once.
  const std::set<JobId>& acknowledged() const { return acknowledged_; }

 private:
  struct Canary {
    JobId id;
    Nonce nonce;
  };
  struct Flight {
    std::uint32_t fault = 0;
    std::vector<Time> acknowledged;
    std::uint32_t left = 0;
    std::uint32_t sent = 0;
    bool landed = false;
    std::vector<std::unique_ptr<Client>> clients;
  };

  asio::awaitable<void> gather();
  asio::awaitable<void> fly(std::shared_ptr<Flight> flight, std::size_t client,
                            std::uint32_t shard);
  void land(Flight& flight);
  Canary take(std::uint32_t shard);

  Crew& crew_;
  Recording& recording_;
  History& history_;
  std::vector<std::string> addresses_;
  Random random_;
  std::unique_ptr<Client> asker_;
  std::vector<std::deque<Canary>> ids_;  // By shard.
  std::vector<std::weak_ptr<Flight>> flights_;
  std::uint32_t in_the_air_ = 0;  // Canaries that are neither acknowledged nor given up.
  std::set<JobId> acknowledged_;
};

}  // namespace shoal::chaos
