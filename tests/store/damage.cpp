#include "damage.hpp"

#include <rocksdb/db.h>

#include <cstdio>
#include <cstdlib>
#include <memory>

namespace shoal::store {
namespace {

void must(const rocksdb::Status& status) {
  if (status.ok()) return;
  std::fprintf(stderr, "%s\n", status.ToString().c_str());
  std::abort();
}

std::unique_ptr<rocksdb::DB> open(const std::filesystem::path& database) {
  rocksdb::DB* opened = nullptr;
  must(rocksdb::DB::Open({}, database.string(), &opened));
  return std::unique_ptr<rocksdb::DB>(opened);
}

}  // namespace

void damage(const std::filesystem::path& database, const std::string& key) {
  std::string value;
  must(open(database)->Get({}, key, &value));
  value.back() = static_cast<char>(value.back() ^ 1);
  put_raw(database, key, value);
}

void put_raw(const std::filesystem::path& database, const std::string& key,
             std::string_view bytes) {
  rocksdb::WriteOptions options;
  options.sync = true;
  must(open(database)->Put(options, key, rocksdb::Slice(bytes.data(), bytes.size())));
}

}  // namespace shoal::store
