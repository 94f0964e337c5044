#include "exec/supervisor_folder.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <memory>
#include <set>
#include <system_error>
#include <utility>

#include "base/assert.hpp"
#include "base/format.hpp"

namespace shoal::exec {
namespace {

constexpr std::size_t kIdDigits = 16;
constexpr std::size_t kFactsBytesMax = 16 * 1024;
constexpr int kConnectionsWaitingMax = 16;
constexpr const char* kSocket = ".sock";
constexpr const char* kProcess = ".process";

std::unexpected<Error> folder_error(const std::string& path, std::string_view what, int number) {
  return fail(ErrorCode::io, format("The folder {} of this node's supervisors cannot be used: {}: "
                                    "{}. Check its owner and the space on its disk.",
                                    path, what, std::strerror(number)));
}

// The path of a socket holds about a hundred characters, a data folder's may be longer: the kernel
// is shown the way through the folder's descriptor.
sockaddr_un address_of(int folder, const std::string& name) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string path = format("/proc/self/fd/{}/{}", folder, name);
  SHOAL_ASSERT(path.size() < sizeof address.sun_path);
  std::ranges::copy(path, std::begin(address.sun_path));
  return address;
}

bool write_all(int file, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::write(file, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(count));
  }
  return true;
}

SupervisorFacts parse_facts(std::string_view text) {
  SupervisorFacts facts;
  while (!text.empty()) {
    const std::size_t length = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, length);
    text.remove_prefix(std::min(length + 1, text.size()));
    const std::size_t space = line.find(' ');
    if (space == std::string_view::npos) continue;
    const std::string_view name = line.substr(0, space);
    const std::string_view value = line.substr(space + 1);
    if (name == "pid") std::from_chars(value.data(), value.data() + value.size(), facts.pid);
    if (name == "build") facts.build = value;
    if (name == "group") facts.groups.emplace_back(value);
  }
  return facts;
}

}  // namespace

std::string make_supervisor_id() {
  std::uint64_t number = 0;
  SHOAL_ASSERT(::getrandom(&number, sizeof number, 0) == static_cast<ssize_t>(sizeof number));
  return format("{:016x}", number);
}

bool valid_supervisor_id(std::string_view text) {
  return text.size() == kIdDigits && text.find_first_not_of("0123456789abcdef") == text.npos;
}

std::string supervisor_mark(std::string_view id) { return format("SHOAL_SUPERVISOR={}", id); }

Result<SupervisorFolder> SupervisorFolder::open(const std::string& data_folder) {
  const std::string path = data_folder + "/supervisors";
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) return folder_error(path, "it cannot be made", error.value());
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return folder_error(path, "it cannot be opened", errno);
  SupervisorFolder folder(path, descriptor);
  if (::fchmod(descriptor, 0700) < 0) return folder_error(path, "it is somebody else's", errno);
  return folder;
}

SupervisorFolder::~SupervisorFolder() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

SupervisorFolder::SupervisorFolder(SupervisorFolder&& other) noexcept
    : path_(std::move(other.path_)), descriptor_(std::exchange(other.descriptor_, -1)) {}

std::vector<std::string> SupervisorFolder::ids() const {
  std::set<std::string> ids;
  const std::unique_ptr<DIR, int (*)(DIR*)> folder(::opendir(path_.c_str()), ::closedir);
  while (const dirent* entry = folder ? ::readdir(folder.get()) : nullptr) {
    const std::string_view name = entry->d_name;
    const std::string_view id = name.substr(0, name.find('.'));
    if (valid_supervisor_id(id)) ids.emplace(id);
  }
  return {ids.begin(), ids.end()};
}

bool SupervisorFolder::listed(const std::string& id) const {
  struct stat status{};
  return ::fstatat(descriptor_, (id + kSocket).c_str(), &status, 0) == 0 || errno != ENOENT;
}

Result<int> SupervisorFolder::listen(const std::string& id) const {
  const int socket = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (socket < 0) return folder_error(path_, "no socket can be made", errno);
  const sockaddr_un address = address_of(descriptor_, id + kSocket);
  if (::bind(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address) < 0 ||
      ::listen(socket, kConnectionsWaitingMax) < 0) {
    const int number = errno;
    ::close(socket);
    return folder_error(path_, "no socket can listen in it", number);
  }
  return socket;
}

std::expected<int, int> SupervisorFolder::connect(const std::string& id) const {
  const int socket = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (socket < 0) return std::unexpected(errno);
  const sockaddr_un address = address_of(descriptor_, id + kSocket);
  if (::connect(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) {
    return socket;
  }
  const int number = errno;
  ::close(socket);
  return std::unexpected(number);
}

Result<void> SupervisorFolder::write_facts(const std::string& id,
                                           const SupervisorFacts& facts) const {
  std::string text = format("pid {}\nbuild {}\n", facts.pid, facts.build);
  for (const std::string& group : facts.groups) text += format("group {}\n", group);
  const std::string aside = id + ".new";
  constexpr int kFlags = O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC;
  const int file = ::openat(descriptor_, aside.c_str(), kFlags, 0600);
  if (file < 0) return folder_error(path_, "no file can be made in it", errno);
  const bool written = write_all(file, text);
  const int number = errno;
  ::close(file);
  if (!written) return folder_error(path_, "no file can be written in it", number);
  if (::renameat(descriptor_, aside.c_str(), descriptor_, (id + kProcess).c_str()) < 0) {
    return folder_error(path_, "no file can be renamed in it", errno);
  }
  return {};
}

std::optional<SupervisorFacts> SupervisorFolder::facts(const std::string& id) const {
  const int file = ::openat(descriptor_, (id + kProcess).c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return std::nullopt;
  std::string text(kFactsBytesMax, '\0');
  const ssize_t count = ::read(file, text.data(), text.size());
  ::close(file);
  if (count < 0) return std::nullopt;
  text.resize(static_cast<std::size_t>(count));
  return parse_facts(text);
}

void SupervisorFolder::remove(const std::string& id) const {
  for (const char* ending : {".new", kProcess, kSocket}) {
    ::unlinkat(descriptor_, (id + ending).c_str(), 0);
  }
}

}  // namespace shoal::exec
