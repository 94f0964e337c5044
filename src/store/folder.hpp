// A node's data folder: who may use it, and the identity that lives in it.
//
// Identity and store are one (rule F2): a node that lost what it promised must not speak under its
// old name, nor may a store be used under another. Both carry the same random number, the node's
// id: node.id, and the database, where it is durable first. When either is lost or they do not
// match, what is left is moved aside within the folder, never deleted, and the node is a new one.
// A first start that a crash cut short promised nothing and goes on.
#pragma once

#include <filesystem>
#include <memory>
#include <string_view>

#include "shoal/id.hpp"
#include "shoal/result.hpp"
#include "store/store.hpp"

namespace shoal::store {

inline constexpr const char* kDatabaseFolder = "db";

struct IdentifiedStore {
  NodeId id;
  std::unique_ptr<Store> store;
};

// Creates the folder where needed and holds its lock until destruction (or the process's end).
class DataFolder {
 public:
  // Errors: refused when a live process holds the lock (it is named); io when the folder cannot be
  // made, read or written.
  static Result<DataFolder> open(const std::filesystem::path& path);
  ~DataFolder();
  DataFolder(DataFolder&& other) noexcept;
  DataFolder& operator=(DataFolder&&) = delete;

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path database() const { return path_ / kDatabaseFolder; }

  // The store and its identity; a new one, durable before this returns, when the folder is new,
  // when either was lost, or when `new_identity` asks for it. What was moved aside is logged.
  Result<IdentifiedStore> open_store(bool new_identity = false) const;

 private:
  Result<IdentifiedStore> create(std::unique_ptr<Store> blank) const;
  Result<std::filesystem::path> set_aside() const;
  Result<IdentifiedStore> replace(std::string_view why) const;
  DataFolder(std::filesystem::path path, int lock) : path_(std::move(path)), lock_(lock) {}

  std::filesystem::path path_;
  int lock_ = -1;
};

}  // namespace shoal::store
