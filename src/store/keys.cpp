#include "store/keys.hpp"

#include <concepts>

#include "base/hash.hpp"

namespace shoal::store {
namespace {

template <std::unsigned_integral T>
void append_big(std::string& bytes, T value) {
  for (std::size_t i = sizeof(T); i-- > 0;) bytes.push_back(static_cast<char>(value >> (8 * i)));
}

template <std::unsigned_integral T>
T read_big(std::string_view bytes) {
  T value = 0;
  for (std::size_t i = 0; i < sizeof(T); ++i) {
    value = static_cast<T>(value << 8 | static_cast<std::uint8_t>(bytes[i]));
  }
  return value;
}

void append_little(std::string& bytes, std::uint64_t value) {
  for (std::size_t i = 0; i < 8; ++i) bytes.push_back(static_cast<char>(value >> (8 * i)));
}

std::uint64_t read_little(std::string_view bytes) {
  std::uint64_t value = 0;
  for (std::size_t i = 8; i-- > 0;) value = value << 8 | static_cast<std::uint8_t>(bytes[i]);
  return value;
}

std::uint64_t record_checksum(std::string_view key, std::string_view header,
                              std::string_view value) {
  return hash64(value, hash64(header, hash64(key)));
}

}  // namespace

std::string meta_key(std::string_view name) {
  std::string key(1, kMetaPrefix);
  key += name;
  return key;
}

std::string shard_key(ShardId shard) {
  std::string key(1, kShardPrefix);
  append_big(key, static_cast<std::uint32_t>(shard));
  return key;
}

std::string record_key(ShardId shard, const wire::RecordKey& key) {
  std::string bytes;
  bytes.reserve(21);
  bytes.push_back(kRecordPrefix);
  append_big(bytes, static_cast<std::uint32_t>(shard));
  append_big(bytes, key.high);
  append_big(bytes, key.low);
  return bytes;
}

std::optional<ShardId> parse_shard_key(std::string_view key) {
  if (key.size() != 5 || key[0] != kShardPrefix) return std::nullopt;
  return ShardId{read_big<std::uint32_t>(key.substr(1))};
}

std::optional<RecordPlace> parse_record_key(std::string_view key) {
  if (key.size() != 21 || key[0] != kRecordPrefix) return std::nullopt;
  return RecordPlace{
      .shard = ShardId{read_big<std::uint32_t>(key.substr(1))},
      .key = {read_big<std::uint64_t>(key.substr(5)), read_big<std::uint64_t>(key.substr(13))}};
}

std::string plain_checksum(std::string_view key, std::string_view value) {
  std::string bytes;
  append_little(bytes, hash64(value, hash64(key)));
  return bytes;
}

std::string record_header(std::string_view key, const wire::RecordVersion& version,
                          std::string_view value) {
  std::string version_bytes;
  version_bytes.reserve(kRecordHeaderBytes - kChecksumBytes);
  append_little(version_bytes, version.ballot.round);
  append_little(version_bytes, version.ballot.node.high);
  append_little(version_bytes, version.ballot.node.low);
  append_little(version_bytes, version.version);
  std::string header;
  header.reserve(kRecordHeaderBytes);
  append_little(header, record_checksum(key, version_bytes, value));
  header += version_bytes;
  return header;
}

std::optional<std::string_view> check_plain(std::string_view key, std::string_view stored) {
  if (stored.size() < kChecksumBytes) return std::nullopt;
  const std::string_view value = stored.substr(kChecksumBytes);
  if (read_little(stored) != hash64(value, hash64(key))) return std::nullopt;
  return value;
}

std::optional<RecordView> parse_record(std::string_view key, std::string_view stored) {
  if (stored.size() < kRecordHeaderBytes) return std::nullopt;
  const std::string_view header =
      stored.substr(kChecksumBytes, kRecordHeaderBytes - kChecksumBytes);
  const std::string_view value = stored.substr(kRecordHeaderBytes);
  return RecordView{.version = {.ballot = {.round = read_little(header),
                                           .node = {read_little(header.substr(8)),
                                                    read_little(header.substr(16))}},
                                .version = read_little(header.substr(24))},
                    .value = value,
                    .intact = read_little(stored) == record_checksum(key, header, value)};
}

}  // namespace shoal::store
