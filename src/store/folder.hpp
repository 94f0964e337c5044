// A node's data folder: who may use it, and the identity that lives in it.
//
// The identity belongs to the store: whoever copies or removes one without the other has made a new
// node or a broken one, and a folder that holds a database but no identity is refused.
#pragma once

#include <filesystem>

#include "shoal/id.hpp"
#include "shoal/result.hpp"

namespace shoal::store {

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

  // The identity in the folder; a new one, durable before this returns, when the folder is new.
  Result<NodeId> identity() const;

 private:
  DataFolder(std::filesystem::path path, int lock) : path_(std::move(path)), lock_(lock) {}

  std::filesystem::path path_;
  int lock_ = -1;
};

}  // namespace shoal::store
