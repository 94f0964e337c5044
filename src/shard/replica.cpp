#include "shard/replica.hpp"

#include <algorithm>
#include <utility>

#include "base/assert.hpp"
#include "base/probes.hpp"
#include "task/record_key.hpp"

namespace shoal::shard {

bool detached(const wire::RecordKey& key) {
  return task::detached({.high = key.high, .low = key.low});
}

void Replica::restore(wire::ShardState state) {
  known_ = true;
  state_ = std::move(state);
}

void Replica::restore(wire::Record record, bool bad) {
  StoredRecord& stored = records_.insert(record.key);
  stored.version = record.version.version;
  stored.ballot = intern(record.version.ballot) & 0x7fffffffU;
  stored.bad = bad ? 1 : 0;
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
Replica::Prepared Replica::on_prepare(const wire::PrepareItem& item,
                                      std::vector<wire::Write>& writes) {
  if (!known_) return Prepared::silent;
  const bool old_config = item.config.id < state_.config.id;
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
std::optional<wire::AckItem> Replica::on_write(wire::WriteItem& item, const Mutations& mutations,
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
  for (wire::Record& record : item.records) {
    if (record.version.version == 0 || item.ballot < record.version.ballot)
      continue;  // No owner's.
    StoredRecord& stored = records_.insert(record.key);
    const wire::RecordVersion mine = stored.version == 0 ? wire::RecordVersion{} : version(stored);
    // A bad copy is not an absent one: an older write of the same owner, overtaken by the one that
    // went bad, must not take its place. But nothing of another ballot can outrank an accepted
    // write: the owner's merge knew all that was committed before it, whatever the version says
    // that stands beside the unreadable value.
    const bool replaceable =
        stored.bad != 0 && (mine == record.version || mine.ballot != item.ballot);
    const bool take = mine < record.version || replaceable || mutations.no_record_order;
    if (take) {
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
  return ack;
}

void Replica::store(const wire::RecordKey& key, const wire::RecordVersion& version,
                    std::string value) {
  SHOAL_ASSERT(version.version > 0);
  StoredRecord& stored = records_.insert(key);
  stored.version = version.version;
  stored.ballot = intern(version.ballot) & 0x7fffffffU;
  stored.bad = 0;
  stored.value = std::move(value);
  if (stored.value.capacity() > stored.value.size() + 32) stored.value.shrink_to_fit();
}

void Replica::mark_bad(const wire::RecordKey& key) {
  if (StoredRecord* stored = records_.find(key)) stored->bad = 1;
}

void Replica::forget(const wire::RecordKey& key) {
  StoredRecord* stored = records_.find(key);
  if (stored == nullptr) return;
  stored->version = 0;
  stored->bad = 1;
  stored->value.clear();
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
    last = record.key;
    ++count;
  });
  SHOAL_ASSERT(count == records_.size());
}

}  // namespace shoal::shard
