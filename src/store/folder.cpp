#include "store/folder.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/random.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <optional>
#include <string>
#include <system_error>

#include "base/format.hpp"

namespace shoal::store {
namespace {

namespace fs = std::filesystem;

std::unexpected<Error> folder_error(const fs::path& path, std::string_view what, int number) {
  return fail(ErrorCode::io,
              format("The data folder {} cannot be used: {}: {}. Check its owner, its permissions "
                     "and the space on its disk, or choose another folder with --data.",
                     path.string(), what, std::strerror(number)));
}

bool write_all(int file, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(file, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

// Absent when there is no such file. An error number when it cannot be read.
std::expected<std::optional<std::string>, int> read_small_file(const fs::path& path) {
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) {
    if (errno == ENOENT) return std::optional<std::string>{};
    return std::unexpected(errno);
  }
  std::array<char, 256> buffer{};
  const ssize_t length = ::read(file, buffer.data(), buffer.size());
  const int number = errno;
  ::close(file);
  if (length < 0) return std::unexpected(number);
  return std::string(buffer.data(), static_cast<std::size_t>(length));
}

// Written aside, synced, renamed, and the folder synced: after a crash the file is whole or absent.
Result<void> write_durably(const fs::path& folder, const char* name, std::string_view bytes) {
  const fs::path aside = folder / (std::string(name) + ".new");
  const int file = ::open(aside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (file < 0) return folder_error(folder, format("{} cannot be created", name), errno);
  const bool written = write_all(file, bytes) && ::fsync(file) == 0;
  const int number = errno;
  ::close(file);
  if (!written) return folder_error(folder, format("{} cannot be written", name), number);
  if (::rename(aside.c_str(), (folder / name).c_str()) != 0) {
    return folder_error(folder, format("{} cannot be put in place", name), errno);
  }
  const int directory = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const bool synced = directory >= 0 && ::fsync(directory) == 0;
  const int sync_number = errno;
  if (directory >= 0) ::close(directory);
  if (!synced) return folder_error(folder, "it cannot be synced", sync_number);
  return {};
}

Result<NodeId> random_id(const fs::path& folder) {
  NodeId id;
  while (!id) {
    std::array<std::uint64_t, 2> words{};
    if (::getrandom(words.data(), sizeof words, 0) != static_cast<ssize_t>(sizeof words)) {
      return folder_error(folder, "the system gives no random bytes for an identity", errno);
    }
    id = {words[0], words[1]};
  }
  return id;
}

std::unexpected<Error> broken(const fs::path& folder, std::string_view what) {
  return fail(ErrorCode::refused,
              format("{} holds {}, so what this node promised is not known. Put the original files "
                     "back, or start with a new folder: this node then joins as a new one.",
                     folder.string(), what));
}

// Zero when there is no such file.
Result<NodeId> read_identity(const fs::path& path) {
  const auto text = read_small_file(path);
  if (!text) {
    return folder_error(path.parent_path(), "node.id cannot be read", text.error());
  }
  if (!text->has_value()) return NodeId{};
  std::string_view digits = **text;
  if (digits.ends_with('\n')) digits.remove_suffix(1);
  const auto id = parse_node_id(digits);
  if (id && *id) return *id;
  return fail(ErrorCode::refused,
              format("{} does not hold a node's identity. Put the original file back, or start "
                     "with a new folder: this node then joins as a new one.",
                     path.string()));
}

}  // namespace

Result<DataFolder> DataFolder::open(const fs::path& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (error) return folder_error(path, "it cannot be created", error.value());
  const int lock = ::open((path / "lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (lock < 0) return folder_error(path, "its lock file cannot be opened", errno);
  DataFolder folder(path, lock);
  if (::flock(lock, LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return folder_error(path, "its lock cannot be taken", errno);
    const auto holder = read_small_file(path / "lock");
    std::string pid = holder && *holder ? **holder : std::string{};
    while (!pid.empty() && pid.back() == '\n') pid.pop_back();
    return fail(ErrorCode::refused,
                format("The data folder {} is in use by another node (process {}). Stop that node "
                       "first, or give this one its own folder with --data.",
                       path.string(), pid.empty() ? "unknown" : pid));
  }
  const std::string pid = format("{}\n", ::getpid());
  if (::ftruncate(lock, 0) != 0 || !write_all(lock, pid)) {
    return folder_error(path, "its lock file cannot be written", errno);
  }
  return folder;
}

DataFolder::DataFolder(DataFolder&& other) noexcept
    : path_(std::move(other.path_)), lock_(std::exchange(other.lock_, -1)) {}

DataFolder::~DataFolder() {
  if (lock_ >= 0) ::close(lock_);
}

Result<IdentifiedStore> DataFolder::open_store() const {
  const auto written = read_identity(path_ / "node.id");
  if (!written) return std::unexpected(written.error());
  if (*written && !Store::exists(database())) {
    return broken(path_, "the identity of a node (node.id) but not its database (db)");
  }
  auto store = Store::open(database());
  if (!store) return std::unexpected(store.error());
  const auto id = settle_identity(*written, **store);
  if (!id) return std::unexpected(id.error());
  return IdentifiedStore{.id = *id, .store = std::move(*store)};
}

// `written` is what node.id holds; zero when there is no such file.
Result<NodeId> DataFolder::settle_identity(NodeId written, Store& store) const {
  const auto stored = store.identity();
  if (!stored) return std::unexpected(stored.error());
  if (written) {
    if (*stored == written) return written;
    return broken(path_, "the identity of a node (node.id) and a database that is not this node's");
  }
  NodeId id = stored->value_or(NodeId{});
  if (!id) {
    // An empty database is what a crash leaves of a first start.
    if (!store.empty()) return broken(path_, "a database but no identity (node.id is missing)");
    const auto made = random_id(path_);
    if (!made) return made;
    id = *made;
    if (auto kept = store.set_identity(id); !kept) return std::unexpected(kept.error());
  }
  if (auto kept = write_durably(path_, "node.id", to_string(id) + "\n"); !kept) {
    return std::unexpected(kept.error());
  }
  return id;
}

}  // namespace shoal::store
