// A node's data folder: who may use it, and the identity that lives in it.
//
// The identity belongs to the store: a node that lost what it promised must not speak under its old
// name. So the database holds the identity too, made durable before node.id is written; a database
// without its identity, or an identity without its database, is refused, and a lost node.id is
// written again.
#pragma once

#include <filesystem>
#include <memory>

#include "shoal/id.hpp"
#include "shoal/result.hpp"
#include "store/store.hpp"

namespace shoal::store {

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
  std::filesystem::path database() const { return path_ / "db"; }

  // The store and its identity; a new one, durable before this returns, when the folder is new.
  Result<IdentifiedStore> open_store() const;

 private:
  Result<NodeId> settle_identity(NodeId written, Store& store) const;
  DataFolder(std::filesystem::path path, int lock) : path_(std::move(path)), lock_(lock) {}

  std::filesystem::path path_;
  int lock_ = -1;
};

}  // namespace shoal::store
