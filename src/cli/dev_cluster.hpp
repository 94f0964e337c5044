// A local cluster for development: nodes as detached processes of this machine, on loopback ports
// chosen outside the range that outgoing connections take theirs from.
//
//   DIR/cluster.json   names, addresses, process ids and their start times
//   DIR/lock           held while a command changes the cluster
//   DIR/NAME/          the node's data folder
//   DIR/NAME.log       what the node says
//
// A process is only ever signalled while its start time is the one on record: a process id that
// the system has given to another program meanwhile is left alone.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <csignal>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "shoal/result.hpp"

namespace shoal::cli {

struct DevNode {
  std::string name;
  std::string address;
  std::uint32_t cpu_millis = 1000;
  std::uint64_t memory_bytes = 0;
  pid_t pid = 0;                 // 0: not running.
  std::uint64_t start_time = 0;  // Clock ticks since boot, as /proc tells.
};

class DevCluster {
 public:
  // Takes the folder's lock; the error says who may hold it. The cluster is empty when there is
  // none.
  static Result<DevCluster> open(const std::filesystem::path& folder);
  ~DevCluster();
  DevCluster(DevCluster&& other) noexcept;
  DevCluster& operator=(DevCluster&&) = delete;

  const std::vector<DevNode>& nodes() const { return nodes_; }
  std::optional<std::size_t> index_of(const std::string& name) const;
  std::filesystem::path log_of(const DevNode& node) const;
  std::string addresses() const;  // All, with commas.
  bool running(std::size_t index) const;
  bool any_running() const;

  // REQUIRES: the cluster is empty.
  Result<void> lay_out(std::uint32_t count);
  // REQUIRES: the node does not run.
  Result<void> start(std::size_t index);
  // False when it does not run.
  bool signal(std::size_t index, int number);
  // Ends the tasks that the node left behind, with their supervisors. False when something of them
  // cannot be killed. REQUIRES: the node does not run.
  bool end_tasks(std::size_t index) const;
  // False when it still runs after `time`.
  bool wait_for_end(std::size_t index, std::chrono::milliseconds time);

  // The last lines a node wrote, for error texts.
  std::string last_words(std::size_t index) const;

 private:
  DevCluster(std::filesystem::path folder, int lock) : folder_(std::move(folder)), lock_(lock) {}
  Result<void> load();
  Result<void> save() const;
  std::vector<std::string> command_of(std::size_t index) const;

  std::filesystem::path folder_;
  int lock_ = -1;
  std::vector<DevNode> nodes_;
};

}  // namespace shoal::cli
