#include <algorithm>

#include "wire/codec_types.hpp"

namespace shoal::wire {
namespace {

// The ballots of one item by number, see shard.capnp. Ballots come in runs, and an item holds a
// handful of different ones, so the last one is tried first and the rest in order.
class BallotTable {
 public:
  explicit BallotTable(const Ballot& own) : ballots_{own} {}
  explicit BallotTable(const Ballot& own, capnp::List<schema::Ballot>::Reader list,
                       Reading& reading)
      : ballots_{own} {
    if (!reading.take(list.size(), kNoLimit)) return;
    ballots_.reserve(list.size() + 1);
    for (const auto ballot : list) ballots_.push_back(get_ballot(ballot));
  }

  std::uint32_t number(const Ballot& ballot) {
    if (ballots_[last_] == ballot) return static_cast<std::uint32_t>(last_);
    const auto known = std::ranges::find(ballots_, ballot);
    last_ = static_cast<std::size_t>(known - ballots_.begin());
    if (known == ballots_.end()) ballots_.push_back(ballot);
    return static_cast<std::uint32_t>(last_);
  }

  Ballot ballot(std::uint32_t number, Reading& reading) const {
    if (number < ballots_.size()) return ballots_[number];
    reading.reject("a ballot that is not in the item's list");
    return {};
  }

  template <class Builder>
  void put_others(Builder out) const {
    const capnp::uint others = count(ballots_) - 1;
    if (others == 0) return;
    auto list = out.initBallots(others);
    for (capnp::uint i = 0; i < others; ++i) put_ballot(list[i], ballots_[i + 1]);
  }

 private:
  std::vector<Ballot> ballots_;
  std::size_t last_ = 0;
};

template <class Builder>
void put_version(Builder out, const RecordVersion& version, BallotTable& ballots) {
  out.setVersion(version.version);
  out.setBallot(ballots.number(version.ballot));
}

template <class Reader>
RecordVersion get_version(Reader in, const BallotTable& ballots, Reading& reading) {
  return {ballots.ballot(in.getBallot(), reading), in.getVersion()};
}

template <class Builder>
void put_records(Builder out, const std::vector<Record>& records, BallotTable& ballots) {
  if (records.empty()) return;
  auto list = out.initRecords(count(records));
  capnp::uint i = 0;
  for (const Record& record : records) {
    auto item = list[i++];
    put_id(item.getKey(), record.key);
    put_version(item, record.version, ballots);
    if (!record.value.empty()) item.setValue(blob(record.value));
  }
}

std::vector<Record> get_records(capnp::List<schema::Record>::Reader list,
                                const BallotTable& ballots, Reading& reading) {
  std::vector<Record> records;
  if (!reading.take(list.size(), kNoLimit)) return records;
  records.reserve(list.size());
  for (const auto item : list) {
    records.push_back({.key = get_id<RecordKey>(item.getKey()),
                       .version = get_version(item, ballots, reading),
                       .value = reading.string(item.getValue())});
  }
  return records;
}

// What WriteItem and AckItem have alike.
template <class Builder, class Item>
void put_config_name(Builder out, const Item& item, BallotTable& ballots) {
  out.setShard(number(item.shard));
  put_ballot(out.getBallot(), item.ballot);
  out.setConfigBallot(ballots.number(item.config_id.ballot));
  out.setConfigSeq(item.config_id.seq);
  if (item.config) put(out.initConfig(), *item.config);
  out.setFloor(item.floor);
  out.setNumber(item.number);
}

template <class Reader>
ConfigId get_config_id(Reader in, const BallotTable& ballots, Reading& reading) {
  return {ballots.ballot(in.getConfigBallot(), reading), in.getConfigSeq()};
}

template <class Reader>
std::optional<ShardConfig> get_config(Reader in, Reading& reading) {
  if (!in.hasConfig()) return std::nullopt;
  return get(in.getConfig(), reading);
}

}  // namespace

void put(schema::Ballot::Builder out, const Ballot& ballot) { put_ballot(out, ballot); }

Ballot get(schema::Ballot::Reader in, Reading&) { return get_ballot(in); }

void put(schema::ShardConfig::Builder out, const ShardConfig& config) {
  put_ballot(out.getBallot(), config.id.ballot);
  out.setSeq(config.id.seq);
  if (!config.home.empty()) put_ids(out.initHome(count(config.home)), config.home);
  if (!config.next.empty()) put_ids(out.initNext(count(config.next)), config.next);
  if (!config.learners.empty()) put_ids(out.initLearners(count(config.learners)), config.learners);
}

ShardConfig get(schema::ShardConfig::Reader in, Reading& reading) {
  return {
      .id = {get_ballot(in.getBallot()), in.getSeq()},
      .home = get_ids(in.getHome(), reading, kHomesMax),
      .next = get_ids(in.getNext(), reading, kHomesMax),
      .learners = get_ids(in.getLearners(), reading, kHomesMax),
  };
}

void put(schema::PrepareItem::Builder out, const PrepareItem& item) {
  out.setShard(number(item.shard));
  put_ballot(out.getBallot(), item.ballot);
  put(out.initConfig(), item.config);
}

PrepareItem get(schema::PrepareItem::Reader in, Reading& reading) {
  return {
      .shard = ShardId{in.getShard()},
      .ballot = get_ballot(in.getBallot()),
      .config = get(in.getConfig(), reading),
  };
}

void put(schema::Prepare::Builder out, const Prepare& prepare) { put_items(out, prepare); }

Prepare get(schema::Prepare::Reader in, Reading& reading) {
  return {.items = get_list<PrepareItem>(in.getItems(), reading)};
}

void put(schema::PromiseItem::Builder out, const PromiseItem& item) {
  out.setShard(number(item.shard));
  put_ballot(out.getBallot(), item.ballot);
  put(out.initConfig(), item.config);
  out.setFloor(item.floor);
  out.setPage(item.page);
  out.setPageCount(item.page_count);
  if (item.digest.empty()) return;
  BallotTable ballots(item.ballot);
  auto list = out.initDigest(count(item.digest));
  capnp::uint i = 0;
  for (const DigestEntry& entry : item.digest) {
    auto to = list[i++];
    put_id(to.getKey(), entry.key);
    put_version(to, entry.version, ballots);
    to.setBad(entry.bad);
  }
  ballots.put_others(out);
}

PromiseItem get(schema::PromiseItem::Reader in, Reading& reading) {
  PromiseItem item{
      .shard = ShardId{in.getShard()},
      .ballot = get_ballot(in.getBallot()),
      .config = get(in.getConfig(), reading),
      .floor = in.getFloor(),
      .page = in.getPage(),
      .page_count = in.getPageCount(),
  };
  const BallotTable ballots(item.ballot, in.getBallots(), reading);
  const auto digest = in.getDigest();
  if (!reading.take(digest.size(), kNoLimit)) return item;
  item.digest.reserve(digest.size());
  for (const auto entry : digest) {
    item.digest.push_back({.key = get_id<RecordKey>(entry.getKey()),
                           .version = get_version(entry, ballots, reading),
                           .bad = entry.getBad()});
  }
  return item;
}

void put(schema::Promise::Builder out, const Promise& promise) { put_items(out, promise); }

Promise get(schema::Promise::Reader in, Reading& reading) {
  return {.items = get_list<PromiseItem>(in.getItems(), reading)};
}

void put(schema::RefuseItem::Builder out, const RefuseItem& item) {
  out.setShard(number(item.shard));
  put_ballot(out.getAsked(), item.asked);
  put_ballot(out.getPromised(), item.promised);
  put(out.initConfig(), item.config);
}

RefuseItem get(schema::RefuseItem::Reader in, Reading& reading) {
  return {
      .shard = ShardId{in.getShard()},
      .asked = get_ballot(in.getAsked()),
      .promised = get_ballot(in.getPromised()),
      .config = get(in.getConfig(), reading),
  };
}

void put(schema::Refuse::Builder out, const Refuse& refuse) { put_items(out, refuse); }

Refuse get(schema::Refuse::Reader in, Reading& reading) {
  return {.items = get_list<RefuseItem>(in.getItems(), reading)};
}

void put(schema::FetchItem::Builder out, const FetchItem& item) {
  out.setShard(number(item.shard));
  put_ballot(out.getBallot(), item.ballot);
  if (!item.keys.empty()) put_ids(out.initKeys(count(item.keys)), item.keys);
}

FetchItem get(schema::FetchItem::Reader in, Reading& reading) {
  return {
      .shard = ShardId{in.getShard()},
      .ballot = get_ballot(in.getBallot()),
      .keys = get_ids<RecordKey>(in.getKeys(), reading),
  };
}

void put(schema::Fetch::Builder out, const Fetch& fetch) { put_items(out, fetch); }

Fetch get(schema::Fetch::Reader in, Reading& reading) {
  return {.items = get_list<FetchItem>(in.getItems(), reading)};
}

void put(schema::FetchedItem::Builder out, const FetchedItem& item) {
  out.setShard(number(item.shard));
  put_ballot(out.getBallot(), item.ballot);
  BallotTable ballots(item.ballot);
  put_records(out, item.records, ballots);
  ballots.put_others(out);
}

FetchedItem get(schema::FetchedItem::Reader in, Reading& reading) {
  const Ballot own = get_ballot(in.getBallot());
  const BallotTable ballots(own, in.getBallots(), reading);
  return {
      .shard = ShardId{in.getShard()},
      .ballot = own,
      .records = get_records(in.getRecords(), ballots, reading),
  };
}

void put(schema::Fetched::Builder out, const Fetched& fetched) { put_items(out, fetched); }

Fetched get(schema::Fetched::Reader in, Reading& reading) {
  return {.items = get_list<FetchedItem>(in.getItems(), reading)};
}

void put(schema::WriteItem::Builder out, const WriteItem& item) {
  BallotTable ballots(item.ballot);
  put_config_name(out, item, ballots);
  put_records(out, item.records, ballots);
  ballots.put_others(out);
}

WriteItem get(schema::WriteItem::Reader in, Reading& reading) {
  const Ballot own = get_ballot(in.getBallot());
  const BallotTable ballots(own, in.getBallots(), reading);
  return {
      .shard = ShardId{in.getShard()},
      .ballot = own,
      .config_id = get_config_id(in, ballots, reading),
      .config = get_config(in, reading),
      .floor = in.getFloor(),
      .number = in.getNumber(),
      .records = get_records(in.getRecords(), ballots, reading),
  };
}

void put(schema::WriteRecords::Builder out, const WriteRecords& write) { put_items(out, write); }

WriteRecords get(schema::WriteRecords::Reader in, Reading& reading) {
  return {.items = get_list<WriteItem>(in.getItems(), reading)};
}

void put(schema::AckItem::Builder out, const AckItem& item) {
  BallotTable ballots(item.ballot);
  put_config_name(out, item, ballots);
  if (!item.exceptions.empty()) {
    auto list = out.initExceptions(count(item.exceptions));
    capnp::uint i = 0;
    for (const AckException& exception : item.exceptions) {
      auto to = list[i++];
      put_id(to.getKey(), exception.key);
      put_version(to, exception.version, ballots);
      to.setGone(exception.gone);
    }
  }
  ballots.put_others(out);
}

AckItem get(schema::AckItem::Reader in, Reading& reading) {
  AckItem item{
      .shard = ShardId{in.getShard()},
      .ballot = get_ballot(in.getBallot()),
      .config = get_config(in, reading),
      .floor = in.getFloor(),
      .number = in.getNumber(),
  };
  const BallotTable ballots(item.ballot, in.getBallots(), reading);
  item.config_id = get_config_id(in, ballots, reading);
  const auto exceptions = in.getExceptions();
  if (!reading.take(exceptions.size(), kNoLimit)) return item;
  item.exceptions.reserve(exceptions.size());
  for (const auto exception : exceptions) {
    item.exceptions.push_back({.key = get_id<RecordKey>(exception.getKey()),
                               .version = get_version(exception, ballots, reading),
                               .gone = exception.getGone()});
  }
  return item;
}

void put(schema::Ack::Builder out, const Ack& ack) { put_items(out, ack); }

Ack get(schema::Ack::Reader in, Reading& reading) {
  return {.items = get_list<AckItem>(in.getItems(), reading)};
}

void put(schema::ConfirmItem::Builder out, const ConfirmItem& item) {
  out.setShard(number(item.shard));
  put_ballot(out.getBallot(), item.ballot);
}

ConfirmItem get(schema::ConfirmItem::Reader in, Reading&) {
  return {.shard = ShardId{in.getShard()}, .ballot = get_ballot(in.getBallot())};
}

void put(schema::Confirm::Builder out, const Confirm& confirm) {
  out.setRound(confirm.round);
  put_items(out, confirm);
}

Confirm get(schema::Confirm::Reader in, Reading& reading) {
  return {.round = in.getRound(), .items = get_list<ConfirmItem>(in.getItems(), reading)};
}

void put(schema::Confirmed::Builder out, const Confirmed& confirmed) {
  out.setRound(confirmed.round);
  put_items(out, confirmed);
}

Confirmed get(schema::Confirmed::Reader in, Reading& reading) {
  return {.round = in.getRound(), .items = get_list<ConfirmItem>(in.getItems(), reading)};
}

void put(schema::RetireItem::Builder out, const RetireItem& item) {
  out.setShard(number(item.shard));
  put_ballot(out.getConfig().getBallot(), item.config.ballot);
  out.getConfig().setSeq(item.config.seq);
}

RetireItem get(schema::RetireItem::Reader in, Reading&) {
  return {
      .shard = ShardId{in.getShard()},
      .config = {.ballot = get_ballot(in.getConfig().getBallot()), .seq = in.getConfig().getSeq()},
  };
}

void put(schema::Retire::Builder out, const Retire& retire) { put_items(out, retire); }

Retire get(schema::Retire::Reader in, Reading& reading) {
  return {.items = get_list<RetireItem>(in.getItems(), reading)};
}

void put(schema::TableEntry::Builder out, const TableEntry& entry) {
  out.setShard(number(entry.shard));
  put(out.initConfig(), entry.config);
  put_ballot(out.getOwner(), entry.owner);
}

TableEntry get(schema::TableEntry::Reader in, Reading& reading) {
  return {
      .shard = ShardId{in.getShard()},
      .config = get(in.getConfig(), reading),
      .owner = get_ballot(in.getOwner()),
  };
}

void put(schema::TableDigest::Builder out, const TableDigest& digest) {
  out.setShardCount(digest.shard_count);
  put_numbers<std::uint64_t>(out.initGroups(count(digest.groups)), digest.groups);
}

TableDigest get(schema::TableDigest::Reader in, Reading& reading) {
  return {
      .shard_count = in.getShardCount(),
      .groups = get_numbers<std::uint64_t>(in.getGroups(), reading, kShardsMax),
  };
}

void put(schema::TableEntries::Builder out, const TableEntries& entries) {
  out.setShardCount(entries.shard_count);
  if (!entries.entries.empty()) put_list(out.initEntries(count(entries.entries)), entries.entries);
  put_numbers<std::uint32_t>(out.initWantedGroups(count(entries.wanted_groups)),
                             entries.wanted_groups);
}

TableEntries get(schema::TableEntries::Reader in, Reading& reading) {
  return {
      .shard_count = in.getShardCount(),
      .entries = get_list<TableEntry>(in.getEntries(), reading, kShardsMax),
      .wanted_groups = get_numbers<std::uint32_t>(in.getWantedGroups(), reading, kShardsMax),
  };
}

}  // namespace shoal::wire
