// Runs one node over real I/O: sockets (net), a disk (store), processes (exec) and clocks.
//
// One thread runs a loop. What is ready goes into the node as inputs; then one turn takes its
// output and carries it out exactly as node/output.hpp says. The clocks are read once for the
// inputs of a turn. Writes go to the group-commit thread, whose news of durability is an input like
// any other; messages of the node to itself are inputs of the next turn.
//
// An error of the disk ends the process with a sentence: what was promised must not be promised by
// a node that cannot keep it.
//
// Tasks outlive this process: their supervisors keep them, and the next process of the node finds
// them. Only where nothing can outlive it (process 1 of a container), or when told so, it ends them
// as it stops. As process 1 it also collects the processes whose parents died.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/address.hpp"
#include "shoal/id.hpp"
#include "shoal/result.hpp"

namespace shoal::daemon {

// The exit status of a node that must not go on (F2): EX_CONFIG of sysexits.h.

struct DriverConfig {
  std::string name;
  std::string version;
  Address listen;
  // Absent: the address listened on; when that is unspecified, the local address of the first
  // stream with a peer.
  std::optional<Address> advertise;
  std::vector<HostPort> seeds;  // A name stands for all its addresses.
  std::uint32_t expect = 1;
  std::filesystem::path data_folder;          // Absolute.
  bool new_identity = false;                  // Whatever node lived in the folder is set aside.
  std::optional<std::uint64_t> disk_reserve;  // Bytes; absent: see daemon/disk.hpp.
  std::uint32_t cpu_millis = 1000;
  std::uint64_t memory_bytes = 0;
  std::string profile = "lan";     // local, lan, wan
  std::uint32_t supervisors = 1;   // Processes that start tasks: one for each core.
  bool end_tasks = false;          // As it stops.
  std::function<void()> on_ready;  // Once: the node serves.
};

class Driver {
 public:
  class Parts;
  explicit Driver(std::unique_ptr<Parts> parts);  // Made by boot().
  // Takes the folder, starts supervisors, restores the node and listens; nothing is said to anyone
  // before run(). Errors are sentences for the operator. REQUIRES: this process has one thread and
  // is small.
  static Result<std::unique_ptr<Driver>> boot(DriverConfig config);
  ~Driver();
  Driver(const Driver&) = delete;
  Driver& operator=(const Driver&) = delete;

  NodeId id() const;
  Address listening() const;

  // Until SIGTERM or SIGINT and the node's orderly stop; a second signal ends the process at once.
  // Returns the exit status: 0, or kExitIdentity when the node must not go on. A disk that fails
  // ends the process with kExitDisk.
  int run();

 private:
  std::unique_ptr<Parts> parts_;
};

}  // namespace shoal::daemon
