#include "store/store.hpp"

#include <rocksdb/cache.h>
#include <rocksdb/db.h>
#include <rocksdb/options.h>
#include <rocksdb/table.h>
#include <rocksdb/write_batch.h>

#include <array>
#include <system_error>

#include "base/format.hpp"
#include "base/log.hpp"
#include "store/keys.hpp"
#include "task/record_key.hpp"

namespace shoal::store {
namespace {

// Two buffers in memory at most: a node's resident size is counted per queued task.
constexpr std::size_t kWriteBufferBytes = 32U * 1024 * 1024;
constexpr std::size_t kBlockCacheBytes = 8U * 1024 * 1024;
constexpr int kOpenFilesMax = 128;

rocksdb::Options database_options() {
  rocksdb::Options options;
  options.create_if_missing = true;
  options.paranoid_checks = true;
  options.use_fsync = false;  // fdatasync.
  // A torn tail was never acknowledged; damage before it is refused. That rule needs log files that
  // are not recycled.
  options.wal_recovery_mode = rocksdb::WALRecoveryMode::kTolerateCorruptedTailRecords;
  options.recycle_log_file_num = 0;
  options.compression = rocksdb::kNoCompression;
  options.write_buffer_size = kWriteBufferBytes;
  options.max_write_buffer_number = 3;
  options.target_file_size_base = kWriteBufferBytes;
  options.max_background_jobs = 2;
  options.max_open_files = kOpenFilesMax;
  options.allow_concurrent_memtable_write = false;  // One writer.
  options.info_log_level = rocksdb::InfoLogLevel::WARN_LEVEL;
  options.max_log_file_size = 1U << 20;
  options.keep_log_file_num = 2;
  options.stats_dump_period_sec = 0;
  options.stats_persist_period_sec = 0;
  options.skip_stats_update_on_db_open = true;
  rocksdb::BlockBasedTableOptions table;
  table.block_cache = rocksdb::NewLRUCache(kBlockCacheBytes);
  table.cache_index_and_filter_blocks = true;
  table.checksum = rocksdb::kXXH3;
  options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  return options;
}

rocksdb::Slice slice(std::string_view bytes) { return {bytes.data(), bytes.size()}; }
std::string_view view(const rocksdb::Slice& bytes) { return {bytes.data(), bytes.size()}; }

rocksdb::Status put(rocksdb::WriteBatch& batch, std::string_view key, std::string_view head,
                    std::string_view value) {
  const std::array<rocksdb::Slice, 1> key_parts{slice(key)};
  const std::array<rocksdb::Slice, 2> value_parts{slice(head), slice(value)};
  return batch.Put(rocksdb::SliceParts(key_parts.data(), 1),
                   rocksdb::SliceParts(value_parts.data(), 2));
}

struct BatchWriter {
  rocksdb::WriteBatch& batch;

  rocksdb::Status operator()(const wire::PutMeta& put_meta) const {
    const std::string key = meta_key(put_meta.name);
    if (put_meta.value.empty()) return batch.Delete(slice(key));
    return put(batch, key, plain_checksum(key, put_meta.value), put_meta.value);
  }
  rocksdb::Status operator()(const wire::PutShard& put_shard) const {
    const std::string key = shard_key(put_shard.shard);
    const std::string state = wire::encode(put_shard.state);
    return put(batch, key, plain_checksum(key, state), state);
  }
  rocksdb::Status operator()(const wire::PutRecord& put_record) const {
    const wire::Record& record = put_record.record;
    const std::string key = record_key(put_record.shard, record.key);
    return put(batch, key, record_header(key, record.version, record.value), record.value);
  }
  rocksdb::Status operator()(const wire::DropRecords& drop) const {
    if (drop.all) {
      const std::string first = record_key(drop.shard, {});
      const std::string last = record_key(drop.shard, {~std::uint64_t{0}, ~std::uint64_t{0}});
      const rocksdb::Status status = batch.DeleteRange(slice(first), slice(last));
      return status.ok() ? batch.Delete(slice(last)) : status;
    }
    for (const wire::RecordKey& key : drop.keys) {
      const rocksdb::Status status = batch.Delete(slice(record_key(drop.shard, key)));
      if (!status.ok()) return status;
    }
    return rocksdb::Status::OK();
  }
};

std::size_t bytes_of(std::span<const std::vector<wire::Write>> batches) {
  constexpr std::size_t kOverhead = 80;
  std::size_t bytes = 0;
  for (const auto& writes : batches) {
    for (const wire::Write& write : writes) {
      bytes += kOverhead;
      if (const auto* record = std::get_if<wire::PutRecord>(&write)) {
        bytes += record->record.value.size();
      }
    }
  }
  return bytes;
}

std::unexpected<Error> damaged(const std::filesystem::path& folder, std::string_view what) {
  return fail(ErrorCode::refused,
              format("The store in the data folder {} is damaged: {}. What this node promised is "
                     "not known any more, so it must not run under its identity. Start it once "
                     "with `shoal node --new-identity`: the old store is moved aside and the node "
                     "joins as a new one.",
                     folder.string(), what));
}

std::unexpected<Error> cannot_write(const std::filesystem::path& folder,
                                    const rocksdb::Status& status) {
  if (status.IsNoSpace()) {
    return fail(ErrorCode::io,
                format("The disk of the data folder {} is full: {}. Nothing that was acknowledged "
                       "is lost. Free space on it, then start this node again.",
                       folder.string(), status.ToString()));
  }
  return fail(ErrorCode::io,
              format("The store in the data folder {} cannot write to its disk: {}. Nothing that "
                     "was acknowledged is lost. Mend the disk, then start this node again.",
                     folder.string(), status.ToString()));
}

std::unexpected<Error> cannot_open(const std::filesystem::path& path, std::string_view why) {
  return fail(ErrorCode::io,
              format("The store in {} cannot be opened: {}. Check the folder's permissions, and "
                     "the health of its disk and the space on it. If files of it are lost for "
                     "good, start once with `shoal node --new-identity`: the store is moved aside "
                     "and the node joins as a new one.",
                     path.string(), why));
}

// What is wrong, for people.
using Visited = std::expected<void, std::string>;

Visited visit_record(const RecoveryVisitor& visitor, std::string_view key,
                     std::string_view stored) {
  const auto place = parse_record_key(key);
  if (!place) return std::unexpected<std::string>("a record's key has the wrong length");
  auto record = parse_record(key, stored).value_or(RecordView{});
  wire::Record restored{.key = place->key, .version = record.version, .value = {}};
  if (!task::detached({place->key.high, place->key.low})) restored.value = record.value;
  if (!record.intact) {
    log::warn("store", "record {:016x}.{:016x} of shard {} does not match its checksum",
              place->key.high, place->key.low, static_cast<std::uint32_t>(place->shard));
  }
  visitor.record(place->shard, std::move(restored), record.intact);
  return {};
}

Visited visit_entry(const RecoveryVisitor& visitor, std::string_view key, std::string_view stored) {
  if (key.starts_with(kRecordPrefix)) return visit_record(visitor, key, stored);
  const auto value = check_plain(key, stored);
  if (key == kIdentityKey) return {};  // Of no concern to recovery.
  if (key.starts_with(kMetaPrefix)) {
    if (!value)
      return std::unexpected<std::string>(
          format("the fact '{}' fails its checksum", key.substr(1)));
    if (!visitor.meta(key.substr(1), *value)) {
      return std::unexpected<std::string>(format("the fact '{}' cannot be read", key.substr(1)));
    }
    return {};
  }
  const auto shard = parse_shard_key(key);
  if (!shard) return std::unexpected<std::string>("it holds a key of no known kind");
  if (!value) {
    return std::unexpected<std::string>(
        format("the state of shard {} fails its checksum", static_cast<std::uint32_t>(*shard)));
  }
  auto state = wire::decode_shard_state(*value);
  if (!state) return std::unexpected<std::string>(std::move(state.error().message));
  visitor.shard(*shard, std::move(*state));
  return {};
}

}  // namespace

struct Store::Database {
  std::filesystem::path folder;  // The node's, for messages.
  std::unique_ptr<rocksdb::DB> db;
  rocksdb::WriteBatch batch;  // Kept for its memory.
};

Store::Store(std::unique_ptr<Database> database) : database_(std::move(database)) {}
Store::~Store() = default;

Result<std::unique_ptr<Store>> Store::open(const std::filesystem::path& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) return cannot_open(path, error.message());
  rocksdb::DB* opened = nullptr;
  const rocksdb::Status status = rocksdb::DB::Open(database_options(), path.string(), &opened);
  auto database = std::make_unique<Database>();
  database->db.reset(opened);
  database->folder = path.parent_path();
  if (status.IsCorruption()) return damaged(database->folder, status.ToString());
  if (!status.ok()) return cannot_open(path, status.ToString());
  return std::make_unique<Store>(std::move(database));
}

// RocksDB's name for what is the current state: written last when a database is made.
bool Store::exists(const std::filesystem::path& path) {
  std::error_code error;
  return std::filesystem::exists(path / "CURRENT", error);
}

Result<std::optional<NodeId>> Store::identity() const {
  std::string stored;
  const rocksdb::Status status =
      database_->db->Get(rocksdb::ReadOptions{}, slice(kIdentityKey), &stored);
  if (status.IsNotFound()) return std::nullopt;
  if (!status.ok()) return damaged(database_->folder, status.ToString());
  const auto text = check_plain(kIdentityKey, stored);
  const auto id = text ? parse_node_id(*text) : std::nullopt;
  if (!id) return damaged(database_->folder, "the node's identity fails its checksum");
  return *id;
}

Result<void> Store::set_identity(NodeId id) {
  const std::string text = to_string(id);
  rocksdb::WriteBatch batch;
  rocksdb::Status status = put(batch, kIdentityKey, plain_checksum(kIdentityKey, text), text);
  rocksdb::WriteOptions options;
  options.sync = true;
  if (status.ok()) status = database_->db->Write(options, &batch);
  if (!status.ok()) return cannot_write(database_->folder, status);
  return {};
}

bool Store::blank() const {
  const std::unique_ptr<rocksdb::Iterator> entry(database_->db->NewIterator({}));
  entry->SeekToFirst();
  if (entry->Valid() && view(entry->key()) == kIdentityKey) entry->Next();
  return !entry->Valid() && entry->status().ok();
}

Result<void> Store::write(std::span<const std::vector<wire::Write>> batches) {
  constexpr std::size_t kBatchBytesKept = 4U * 1024 * 1024;
  rocksdb::WriteBatch& batch = database_->batch;
  if (batch.Data().capacity() > kBatchBytesKept) {
    batch = rocksdb::WriteBatch(bytes_of(batches));
  } else {
    batch.Clear();
  }
  rocksdb::Status status;
  for (const auto& writes : batches) {
    for (const wire::Write& write : writes) {
      if (status.ok()) status = std::visit(BatchWriter{batch}, write);
    }
  }
  rocksdb::WriteOptions options;
  options.sync = true;
  if (status.ok()) status = database_->db->Write(options, &batch);
  if (!status.ok()) return cannot_write(database_->folder, status);
  return {};
}

std::optional<wire::Record> Store::read(ShardId shard, const wire::RecordKey& key) const {
  const std::string bytes = record_key(shard, key);
  rocksdb::PinnableSlice stored;
  rocksdb::DB& db = *database_->db;
  const rocksdb::Status status =
      db.Get(rocksdb::ReadOptions{}, db.DefaultColumnFamily(), slice(bytes), &stored);
  if (!status.ok()) {
    if (!status.IsNotFound()) log::warn("store", "a record cannot be read: {}", status.ToString());
    return std::nullopt;
  }
  const auto record = parse_record(bytes, view(stored));
  if (!record || !record->intact) return std::nullopt;
  return wire::Record{.key = key, .version = record->version, .value = std::string(record->value)};
}

Result<void> Store::recover(const RecoveryVisitor& visitor) const {
  constexpr std::size_t kReadAheadBytes = 1U << 20;
  rocksdb::ReadOptions options;
  options.fill_cache = false;
  options.readahead_size = kReadAheadBytes;
  const std::unique_ptr<rocksdb::Iterator> entry(database_->db->NewIterator(options));
  for (entry->SeekToFirst(); entry->Valid(); entry->Next()) {
    auto visited = visit_entry(visitor, view(entry->key()), view(entry->value()));
    if (!visited) return damaged(database_->folder, visited.error());
  }
  if (entry->status().IsCorruption()) {
    return damaged(database_->folder, entry->status().ToString());
  }
  if (!entry->status().ok()) return cannot_open(database_->folder, entry->status().ToString());
  return {};
}

}  // namespace shoal::store
