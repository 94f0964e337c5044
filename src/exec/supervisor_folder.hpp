// Where a node's supervisors are listed, so that the next process of the node finds them: the
// folder DATA/supervisors, readable by its owner alone.
//
//   ID.sock      where the supervisor listens; ID is 16 random hexadecimal digits, never used twice
//   ID.process   what it says of itself, as lines of a name and a value: `pid`, `build`, and
//   `group`
//                for each control group that holds its tasks
//   all.log      what supervisors write to their standard error
//
// A socket is made, and listens, before its supervisor is started: from its first moment a
// supervisor is either reachable there or dead. One that finds itself no longer listed can never be
// found again; it ends its tasks and itself.
//
// A supervisor's process is known by its command line, which bears the id. A pid that the system
// has given to another program meanwhile is therefore left alone; the pid on file is for people.
#pragma once

#include <sys/types.h>

#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "shoal/result.hpp"

namespace shoal::exec {

// What a supervisor says of itself in ID.process.
struct SupervisorFacts {
  pid_t pid = 0;
  std::string build;
  std::vector<std::string> groups;
  bool operator==(const SupervisorFacts&) const = default;
};

// A new one: from the kernel's random numbers.
std::string make_supervisor_id();
bool valid_supervisor_id(std::string_view text);

// The variable in its tasks' environment that names the supervisor: NAME=ID.
std::string supervisor_mark(std::string_view id);

class SupervisorFolder {
 public:
  // Makes the folder where needed.
  static Result<SupervisorFolder> open(const std::string& data_folder);
  ~SupervisorFolder();
  SupervisorFolder(SupervisorFolder&& other) noexcept;
  SupervisorFolder& operator=(SupervisorFolder&&) = delete;

  const std::string& path() const { return path_; }
  std::string log_file() const { return path_ + "/all.log"; }

  std::vector<std::string> ids() const;  // All that are listed, in order.
  bool listed(const std::string& id) const;

  // A socket that listens at ID.sock. REQUIRES: the id is new.
  Result<int> listen(const std::string& id) const;
  // A non-blocking connection, or errno: ECONNREFUSED and ENOENT mean that nobody can be there any
  // more, EAGAIN that it does not keep up.
  std::expected<int, int> connect(const std::string& id) const;

  Result<void> write_facts(const std::string& id, const SupervisorFacts& facts) const;
  std::optional<SupervisorFacts> facts(const std::string& id) const;

  void remove(const std::string& id) const;

 private:
  SupervisorFolder(std::string path, int descriptor)
      : path_(std::move(path)), descriptor_(descriptor) {}

  std::string path_;
  int descriptor_ = -1;  // Of the folder: paths of sockets must be short.
};

}  // namespace shoal::exec
