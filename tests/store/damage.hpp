// Changes a database behind the store's back, as a disk that lies would.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace shoal::store {

// Flips one bit of the value that is stored under the key. REQUIRES: nobody has the database open,
// and it holds the key.
void damage(const std::filesystem::path& database, const std::string& key);

// Stores bytes as they are, without a checksum of their own.
void put_raw(const std::filesystem::path& database, const std::string& key, std::string_view bytes);

}  // namespace shoal::store
