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
#include "base/log.hpp"

namespace shoal::store {
namespace {

namespace fs = std::filesystem;

constexpr const char* kIdentityFile = "node.id";

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

Result<void> sync_folder(const fs::path& folder) {
  const int directory = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const bool synced = directory >= 0 && ::fsync(directory) == 0;
  const int number = errno;
  if (directory >= 0) ::close(directory);
  if (!synced) return folder_error(folder, "it cannot be synced", number);
  return {};
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
  return sync_folder(folder);
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

struct WrittenIdentity {
  bool present = false;
  NodeId id;  // Zero when what is there is no identity.
};

Result<WrittenIdentity> read_identity(const fs::path& path) {
  const auto text = read_small_file(path);
  if (!text) {
    return folder_error(path.parent_path(), "node.id cannot be read", text.error());
  }
  if (!text->has_value()) return WrittenIdentity{};
  std::string_view digits = **text;
  if (digits.ends_with('\n')) digits.remove_suffix(1);
  return WrittenIdentity{.present = true, .id = parse_node_id(digits).value_or(NodeId{})};
}

// Whether files of a database are there that has lost the one that names its state.
bool has_remains(const fs::path& database) {
  std::error_code error;
  for (fs::directory_iterator entry(database, error), end; !error && entry != end;
       entry.increment(error)) {
    const fs::path kind = entry->path().extension();
    std::error_code ignored;
    if (kind == ".sst" || (kind == ".log" && entry->file_size(ignored) > 0)) return true;
  }
  return false;
}

std::string former(const WrittenIdentity& written) {
  return written.id ? "node " + short_text(written.id) : std::string("the node");
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

Result<IdentifiedStore> DataFolder::open_store(bool new_identity) const {
  const auto written = read_identity(path_ / kIdentityFile);
  if (!written) return std::unexpected(written.error());
  const bool stored = Store::exists(database());
  if (new_identity && (written->present || stored)) {
    return replace(
        format("A new identity was asked for (--new-identity) in place of {}", former(*written)));
  }
  if (!stored) {
    if (written->present) {
      return replace(format("The store of {} is gone (there is no database in {})",
                            former(*written), database().string()));
    }
    if (has_remains(database())) {
      return replace(format("The store of the node is gone (only parts of it are in {})",
                            database().string()));
    }
    auto made = Store::open(database());
    if (!made) return std::unexpected(made.error());
    return create(std::move(*made));
  }
  auto store = Store::open(database());
  if (!store) return std::unexpected(store.error());
  const auto owner = (*store)->identity();
  if (!owner) return std::unexpected(owner.error());
  if (written->id && *owner == written->id) {
    return IdentifiedStore{.id = written->id, .store = std::move(*store)};
  }
  if (!written->present && (*store)->blank()) return create(std::move(*store));
  store->reset();
  if (!written->present) return replace("The store's identity is lost (node.id is missing)");
  if (!written->id) return replace("The store's identity is lost (node.id holds no identity)");
  return replace(
      format("The store is not that of {}, whose identity is beside it", former(*written)));
}

// The identity is in the database before it is in the file: a crash in between leaves a blank
// store, not one that has lost its identity.
Result<IdentifiedStore> DataFolder::create(std::unique_ptr<Store> blank) const {
  const auto kept = blank->identity();
  if (!kept) return std::unexpected(kept.error());
  NodeId id = kept->value_or(NodeId{});
  if (!id) {
    const auto made = random_id(path_);
    if (!made) return std::unexpected(made.error());
    id = *made;
    if (auto written = blank->set_identity(id); !written) return std::unexpected(written.error());
  }
  if (auto written = write_durably(path_, kIdentityFile, to_string(id) + "\n"); !written) {
    return std::unexpected(written.error());
  }
  return IdentifiedStore{.id = id, .store = std::move(blank)};
}

// Where what is left of the former node was moved to. A crash in the middle leaves an identity
// without its store, or the reverse, which is set aside in turn.
Result<fs::path> DataFolder::set_aside() const {
  std::error_code error;
  fs::path aside;
  for (int number = 1;; ++number) {
    aside = path_ / format("old-identity-{}", number);
    if (fs::create_directory(aside, error)) break;
    if (error)
      return folder_error(path_, "a folder for the old identity cannot be made", error.value());
  }
  for (const char* name : {kIdentityFile, kDatabaseFolder}) {
    if (!fs::exists(path_ / name, error)) continue;
    fs::rename(path_ / name, aside / name, error);
    if (error) {
      return folder_error(path_, format("{} cannot be moved to {}", name, aside.string()),
                          error.value());
    }
  }
  if (auto synced = sync_folder(path_); !synced) return std::unexpected(synced.error());
  return aside;
}

// F2: the remains of a node that must not speak any more give way to a new one.
Result<IdentifiedStore> DataFolder::replace(std::string_view why) const {
  const auto aside = set_aside();
  if (!aside) return std::unexpected(aside.error());
  auto blank = Store::open(database());
  if (!blank) return std::unexpected(blank.error());
  auto made = create(std::move(*blank));
  if (!made) return made;
  log::warn("store",
            "{}, so what it promised is not known here any more: this is now a new node, {}. What "
            "was left of the old one is in {}. To go back to its cluster give --join; there, "
            "`shoal forget` removes the old one",
            why, short_text(made->id), aside->string());
  return made;
}

}  // namespace shoal::store
