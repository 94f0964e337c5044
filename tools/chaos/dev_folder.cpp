#include "tools/chaos/dev_folder.hpp"

#include <cstdlib>
#include <fstream>

#include "tools/chaos/json.hpp"

namespace shoal::chaos {

namespace fs = std::filesystem;

Result<std::vector<DevNode>> read_dev_folder(const fs::path& folder) {
  const fs::path path = folder / "cluster.json";
  std::ifstream file(path);
  if (!file) {
    return fail(ErrorCode::not_found,
                text("there is no local cluster in ", folder.string(),
                     ". `shoal dev -n 5 --dir DIR` makes one; `shoal-chaos run SCENARIO` without "
                     "--against starts its own"));
  }
  const Json json = Json::parse(file, nullptr, false);
  std::vector<DevNode> nodes;
  for (const Json& each : field(json, "nodes", Json::array())) {
    DevNode node{.name = field(each, "name", std::string()),
                 .address = field(each, "address", std::string())};
    const ProcessId process{.pid = field(each, "pid", pid_t{0}),
                            .start = field(each, "start_time", std::uint64_t{0})};
    if (lives(process)) node.process = process;
    if (!node.name.empty() && !node.address.empty()) nodes.push_back(std::move(node));
  }
  if (field(json, "schema", std::string()) != "shoal.dev/1" || nodes.empty()) {
    return fail(ErrorCode::bad_input, text(path.string(), " does not describe a local cluster"));
  }
  return nodes;
}

fs::path default_dev_folder() { return state_folder() / "dev"; }

fs::path state_folder() {
  if (const char* state = std::getenv("XDG_STATE_HOME"); state != nullptr && *state == '/') {
    return fs::path(state) / "shoal";
  }
  if (const char* home = std::getenv("HOME"); home != nullptr && *home == '/') {
    return fs::path(home) / ".local" / "state" / "shoal";
  }
  return "/var/lib/shoal";
}

}  // namespace shoal::chaos
