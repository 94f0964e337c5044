#include "exec/tree_sweep.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <thread>
#include <vector>

#include "base/assert.hpp"
#include "exec/control_groups.hpp"
#include "exec/descriptor.hpp"
#include "exec/process_tree.hpp"
#include "exec/protocol.hpp"

namespace shoal::exec {
namespace {

using SteadyTime = std::chrono::steady_clock::time_point;
constexpr std::chrono::milliseconds kRoundPause{10};
constexpr std::chrono::seconds kSweepsMax{10};

bool group_has_processes(const std::string& path) {
  const Descriptor folder(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  return folder && !group_empty(folder.get());
}

// Says hello and quit. Invalid: nobody is there to hear it.
Descriptor ask_to_quit(const SupervisorFolder& folder, const std::string& id) {
  const auto socket = folder.connect(id);
  if (!socket) return {};
  Descriptor connection(*socket);
  std::string bytes;
  SHOAL_ASSERT(append_frame(bytes, HelloMessage{}).has_value());
  SHOAL_ASSERT(append_frame(bytes, QuitMessage{}).has_value());
  const ssize_t sent = ::send(connection.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
  return sent == static_cast<ssize_t>(bytes.size()) ? std::move(connection) : Descriptor();
}

// Reads what they say until they are gone.
void wait_for_ends(std::vector<Descriptor> connections, SteadyTime until) {
  std::array<char, 16 * 1024> buffer;
  while (!connections.empty()) {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(until - std::chrono::steady_clock::now());
    if (left.count() <= 0) return;
    std::vector<pollfd> set;
    for (const Descriptor& each : connections) {
      set.push_back({.fd = each.get(), .events = POLLIN, .revents = 0});
    }
    if (::poll(set.data(), set.size(), static_cast<int>(left.count())) < 0) continue;
    std::erase_if(connections, [&buffer](const Descriptor& each) {
      const ssize_t count = ::recv(each.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
      return count == 0 || (count < 0 && errno != EAGAIN && errno != EINTR);
    });
  }
}

}  // namespace

bool sweep_supervisor(const SupervisorFolder& folder, const std::string& id) {
  bool found = kill_supervisor(id);
  std::vector<std::string> groups;
  if (const auto facts = folder.facts(id)) groups = facts->groups;
  // The file is our own, but a path that another wrote there must not kill anything else.
  std::erase_if(groups, [&id](const std::string& path) {
    return std::filesystem::path(path).filename() != "shoal-" + id;
  });
  for (const std::string& path : groups) {
    if (!group_has_processes(path)) continue;
    kill_group_at(path);
    found = true;
  }
  const std::array marks{Marks{supervisor_mark(id)}};
  if (kill_marked(marks) > 0) found = true;
  if (found) return true;
  for (const std::string& path : groups) remove_group_at(path);
  folder.remove(id);
  return false;
}

bool end_supervisors(const std::string& data_folder, std::chrono::milliseconds patience) {
  std::error_code error;
  if (!std::filesystem::exists(data_folder + "/supervisors", error)) return true;
  const auto folder = SupervisorFolder::open(data_folder);
  if (!folder) return false;
  const std::vector<std::string> ids = folder->ids();
  std::vector<Descriptor> connections;
  for (const std::string& id : ids) {
    Descriptor connection = ask_to_quit(*folder, id);
    if (connection) connections.push_back(std::move(connection));
  }
  wait_for_ends(std::move(connections), std::chrono::steady_clock::now() + patience);
  const SteadyTime give_up_at = std::chrono::steady_clock::now() + kSweepsMax;
  bool all_gone = true;
  for (const std::string& id : ids) {  // Also those that have quit: they may be about to exit.
    while (sweep_supervisor(*folder, id)) {
      if (std::chrono::steady_clock::now() >= give_up_at) {
        all_gone = false;
        break;
      }
      std::this_thread::sleep_for(kRoundPause);
    }
  }
  return all_gone;
}

}  // namespace shoal::exec
