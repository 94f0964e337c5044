#include "shard/replica.hpp"

#include <algorithm>
#include <utility>

#include "base/assert.hpp"
#include "base/probes.hpp"
#include "shard/quorum.hpp"
#include "task/record_key.hpp"

namespace shoal::shard {

bool detached(const wire::RecordKey& key) {
  return task::detached({.high = key.high, .low = key.low});
}

bool at_or_below(const wire::RecordKey& key, std::uint64_t floor) {
  if (floor == 0) return false;
  const auto expiry = task::expiry_of(task::KeyBits{.high = key.high, .low = key.low});
  return expiry && *expiry <= floor;
}

void Replica::restore(wire::ShardState state) {
  known_ = state != wire::ShardState{};
  state_ = std::move(state);
}

void Replica::restore(wire::Record record, bool bad) {
  StoredRecord& stored = records_.insert(record.key);
  stored.version = record.version.version;
  stored.ballot = intern(record.version.ballot) & 0x7fffffffU;
  stored.bad = bad ? 1 : 0;
  if (bad) bad_.insert(record.key);
  stored.value.clear();
  if (!bad && !detached(record.key)) stored.value = record.value;
}

void Replica::found(wire::ShardConfig config, std::vector<wire::Write>& writes) {
  SHOAL_ASSERT(!known_);
  known_ = true;
  state_ = {.promised = {}, .config = std::move(config), .floor = 0};
  put_state(writes);
}

// H1.
Replica::Prepared Replica::on_prepare(const wire::PrepareItem& item, const Mutations& mutations,
                                      std::vector<wire::Write>& writes) {
  if (!known_) return Prepared::silent;
  const bool old_config = item.config.id < state_.config.id && !mutations.no_config_check;
  if (old_config || item.ballot < state_.promised) {
    probes::mark(probes::Mark::prepare_refused);
    if (old_config) probes::mark(probes::Mark::old_config_refused);
    return Prepared::refused;
  }
  if (state_.promised < item.ballot) {
    state_.promised = item.ballot;
    put_state(writes);
  }
  return Prepared::promised;
}

std::vector<wire::PromiseItem> Replica::promise() const {
  const std::size_t most = probes::fails(probes::Site::digest_in_pages) ? 3 : kDigestPageEntries;
  const std::size_t page_count = std::max<std::size_t>(1, (records_.size() + most - 1) / most);
  std::vector<wire::PromiseItem> pages(page_count);
  for (std::size_t i = 0; i < page_count; ++i) {
    pages[i] = {.shard = shard_,
                .ballot = state_.promised,
                .config = state_.config,
                .floor = state_.floor,
                .page = static_cast<std::uint32_t>(i),
                .page_count = static_cast<std::uint32_t>(page_count),
                .digest = {}};
    pages[i].digest.reserve(std::min(most, records_.size() - i * most));
  }
  std::size_t index = 0;
  records_.for_each([&](const StoredRecord& record) {
    pages[index++ / most].digest.push_back(
        {.key = record.key, .version = version(record), .bad = record.bad != 0});
  });
  return pages;
}

wire::RefuseItem Replica::refusal(const wire::Ballot& asked) const {
  return {.shard = shard_, .asked = asked, .promised = state_.promised, .config = state_.config};
}

// H2. The order of the tests is the rule's.
std::optional<wire::AckItem> Replica::on_write(wire::WriteItem& item, std::uint64_t wall,
                                               const Mutations& mutations,
                                               std::vector<wire::Write>& writes) {
  if (item.ballot < state_.promised && !mutations.no_promise_check) {
    probes::mark(probes::Mark::late_write_refused);
    return std::nullopt;
  }
  wire::AckItem ack{.shard = shard_,
                    .ballot = item.ballot,
                    .config_id = state_.config.id,
                    .config = std::nullopt,
                    .floor = state_.floor,
                    .number = item.number,
                    .exceptions = {}};
  // A config named by its id alone that this home never held: store nothing, answer with the own
  // one.
  const bool unnamed = !item.config && (!known_ || state_.config.id < item.config_id);
  if (unnamed && !known_) {
    ack.config = state_.config;
    return ack;
  }
  bool changed = false;
  if (state_.promised < item.ballot && !mutations.no_promise_raise) {
    probes::mark(probes::Mark::write_raised_promise);
    state_.promised = item.ballot;
    changed = true;
  }
  // An accepted Write for a shard this node knew nothing of makes it one of the shard's nodes.
  if (item.config && (!known_ || state_.config.id < item.config->id)) {
    state_.config = *item.config;
    known_ = true;
    changed = true;
  }
  if (changed) put_state(writes);
  ack.config_id = state_.config.id;
  if (unnamed) {
    probes::mark(probes::Mark::config_unknown);
    ack.config = state_.config;
    return ack;
  }
  adopt_floor(item.floor, wall, mutations, writes);
  ack.floor = state_.floor;
  take(item, mutations, ack, writes);
  if (item.number == 0) list_bad(ack);
  return ack;
}

void Replica::take(wire::WriteItem& item, const Mutations& mutations, wire::AckItem& ack,
                   std::vector<wire::Write>& writes) {
  for (wire::Record& record : item.records) {
    if (record.version.version == 0 || item.ballot < record.version.ballot)
      continue;  // No owner's.
    if (at_or_below(record.key, state_.floor)) {
      probes::mark(probes::Mark::gone_answered);
      ack.exceptions.push_back({.key = record.key, .version = {}, .gone = true});
      continue;
    }
    StoredRecord& stored = records_.insert(record.key);
    const wire::RecordVersion mine = stored.version == 0 ? wire::RecordVersion{} : version(stored);
    // A bad copy is not an absent one: an older write of the same owner, overtaken by the one that
    // went bad, must not take its place. But nothing of another ballot can outrank an accepted
    // write: the owner's merge knew all that was committed before it, whatever the version says
    // that stands beside the unreadable value.
    const bool replaceable =
        stored.bad != 0 && (mine == record.version || mine.ballot != item.ballot);
    if (mine < record.version || replaceable || mutations.no_record_order) {
      store(record.key, record.version, detached(record.key) ? std::string() : record.value);
      writes.push_back(wire::PutRecord{shard_, std::move(record)});
    } else if (mine != record.version) {
      probes::mark(probes::Mark::newer_record_kept);
      // A bad copy answers as if it were not there: nobody may count it.
      ack.exceptions.push_back({.key = record.key,
                                .version = stored.bad != 0 ? wire::RecordVersion{} : mine,
                                .gone = false});
    }
  }
}

void Replica::list_bad(wire::AckItem& ack) const {
  for (const wire::RecordKey& key : bad_) {
    if (ack.exceptions.size() >= kBadListed) return;
    if (std::ranges::find(ack.exceptions, key, &wire::AckException::key) == ack.exceptions.end()) {
      ack.exceptions.push_back({.key = key, .version = {}, .gone = false});
    }
  }
}

bool Replica::adopt_floor(std::uint64_t floor, std::uint64_t wall, const Mutations& mutations,
                          std::vector<wire::Write>& writes) {
  if (floor <= state_.floor) return true;
  if (floor > wall + kSkewSeconds && !mutations.no_floor_check) {
    probes::mark(probes::Mark::floor_refused);
    return false;
  }
  state_.floor = floor;
  put_state(writes);
  drop_below(floor, writes);
  return true;
}

void Replica::drop_below(std::uint64_t floor, std::vector<wire::Write>& writes) {
  wire::DropRecords drop{.shard = shard_, .keys = {}, .all = false};
  records_.erase_if([&](const StoredRecord& record) {
    if (!at_or_below(record.key, floor)) return false;
    bad_.erase(record.key);
    drop.keys.push_back(record.key);
    return true;
  });
  if (!drop.keys.empty()) writes.push_back(std::move(drop));
}

void Replica::drop_by_clock(std::uint64_t wall, std::vector<wire::Write>& writes) {
  drop_below(wall, writes);
}

// H5. Promise, config and floor stay for ever: this stub refuses what comes very late.
bool Replica::on_retire(const wire::ConfigId& config, NodeId self, const Mutations& mutations,
                        std::vector<wire::Write>& writes) {
  if (!known_) return false;
  const std::vector<NodeId> named = members(state_.config);
  const bool left = state_.config.id == config && std::ranges::find(named, self) == named.end();
  probes::mark(left ? probes::Mark::retired : probes::Mark::retire_ignored);
  if (!left && !mutations.retire_any) return false;
  records_.clear();
  bad_.clear();
  writes.push_back(wire::DropRecords{.shard = shard_, .keys = {}, .all = true});
  if (mutations.stub_forgets) {
    known_ = false;
    state_ = {};
    put_state(writes);
  }
  return true;
}

void Replica::store(const wire::RecordKey& key, const wire::RecordVersion& version,
                    std::string value) {
  SHOAL_ASSERT(version.version > 0);
  StoredRecord& stored = records_.insert(key);
  stored.version = version.version;
  stored.ballot = intern(version.ballot) & 0x7fffffffU;
  if (stored.bad != 0) bad_.erase(key);
  stored.bad = 0;
  stored.value = std::move(value);
  if (stored.value.capacity() > stored.value.size() + 32) stored.value.shrink_to_fit();
}

void Replica::mark_bad(const wire::RecordKey& key) {
  StoredRecord* stored = records_.find(key);
  if (stored == nullptr) return;
  stored->bad = 1;
  bad_.insert(key);
}

void Replica::forget(const wire::RecordKey& key) {
  StoredRecord* stored = records_.find(key);
  if (stored == nullptr) return;
  stored->version = 0;
  stored->bad = 1;
  stored->value.clear();
  bad_.insert(key);
}

void Replica::adopt(const wire::ShardConfig& config, const wire::Ballot& ballot,
                    std::vector<wire::Write>& writes) {
  SHOAL_ASSERT(known_ && state_.promised <= ballot);
  state_.promised = ballot;
  if (state_.config.id < config.id) state_.config = config;
  put_state(writes);
}

std::uint32_t Replica::intern(const wire::Ballot& ballot) {
  // The newest owner's ballot is by far the most frequent.
  for (std::size_t i = ballots_.size(); i > 0; --i) {
    if (ballots_[i - 1] == ballot) return static_cast<std::uint32_t>(i - 1);
  }
  ballots_.push_back(ballot);
  return static_cast<std::uint32_t>(ballots_.size() - 1);
}

void Replica::put_state(std::vector<wire::Write>& writes) const {
  writes.push_back(wire::PutShard{shard_, state_});
}

void Replica::check_invariants() const {
  SHOAL_ASSERT(known_ || state_.promised == wire::Ballot{});
  std::size_t count = 0;
  std::optional<wire::RecordKey> last;
  records_.for_each([&](const StoredRecord& record) {
    SHOAL_ASSERT(!last || *last < record.key);
    SHOAL_ASSERT(record.ballot < ballots_.size());
    SHOAL_ASSERT(!detached(record.key) || record.value.empty());
    SHOAL_ASSERT(!at_or_below(record.key, state_.floor));
    SHOAL_ASSERT(bad_.contains(record.key) == (record.bad != 0));
    last = record.key;
    ++count;
  });
  SHOAL_ASSERT(count == records_.size());
}

}  // namespace shoal::shard
