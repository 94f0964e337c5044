// Containers as the docker command tells of them.
#pragma once

#include <string>
#include <vector>

#include "tools/chaos/backend.hpp"
#include "tools/chaos/process.hpp"

namespace shoal::chaos {

inline constexpr const char* kPort = ":7461";  // Where a node in a container listens.

struct Container {
  std::string name;
  std::string host_name;  // What the node in it calls itself.
  std::string image;
  std::string address;  // Empty while it has none.
  std::string network;
  ProcessId process;  // Its process 1; empty while it does not run.
  NodeState state = NodeState::down;
  bool node = false;  // It was told to run one.
};

// Those that there are, in the order asked for.
Result<std::vector<Container>> inspect(const std::vector<std::string>& containers);
// What `docker inspect` printed; those that are whole.
std::vector<Container> containers_of(const std::string& inspected);
// All containers with this label, by name.
Result<std::vector<std::string>> labelled(const std::string& label);

// "docker compose" where the plugin is installed, else "docker-compose".
Result<std::vector<std::string>> compose_words();
// Absent when an engine answers and has this image; the error says what to do.
Result<void> check_engine(const std::string& image);

}  // namespace shoal::chaos
