#include "tools/chaos/docker.hpp"

#include <algorithm>

#include "tools/chaos/json.hpp"

namespace shoal::chaos {
namespace {

constexpr Ms kAskLimit{20'000};

Container container_of(const Json& json) {
  const Json config = field(json, "Config", Json::object());
  const Json state = field(json, "State", Json::object());
  const Json settings = field(json, "NetworkSettings", Json::object());
  Container container{.name = field(json, "Name", std::string()),
                      .host_name = field(config, "Hostname", std::string()),
                      .image = field(config, "Image", std::string())};
  if (container.name.starts_with('/')) container.name.erase(0, 1);
  const Json command = field(config, "Cmd", Json::array());
  container.node = !command.empty() && command.front() == "node";
  const Json networks = field(settings, "Networks", Json::object());
  if (!networks.empty()) {
    container.network = networks.begin().key();
    const std::string ip = field(networks.begin().value(), "IPAddress", std::string());
    if (!ip.empty()) container.address = ip + kPort;
  }
  const auto process = identify(field(state, "Pid", pid_t{0}));
  if (!field(state, "Running", false) || !process) return container;
  container.process = *process;
  const bool paused = field(state, "Paused", false) || stopped(*process);
  container.state = paused ? NodeState::paused : NodeState::up;
  return container;
}

}  // namespace

std::vector<Container> containers_of(const std::string& inspected) {
  const Json all = Json::parse(inspected, nullptr, false);
  std::vector<Container> containers;
  if (!all.is_array()) return containers;
  for (const Json& each : all) {
    Container container = container_of(each);
    if (!container.name.empty()) containers.push_back(std::move(container));
  }
  return containers;
}

Result<std::vector<Container>> inspect(const std::vector<std::string>& containers) {
  if (containers.empty()) return std::vector<Container>();
  std::vector<std::string> words{"docker", "inspect", "--type", "container"};
  words.insert(words.end(), containers.begin(), containers.end());
  // Its status is 1 where one of them is not there, and it prints the others.
  const auto done = run_program(words, kAskLimit);
  if (!done) return std::unexpected(done.error());
  std::vector<Container> found = containers_of(done->output);
  if (found.empty()) {
    return fail(ErrorCode::unavailable,
                text("none of the containers is there: ", trimmed(done->error_output)));
  }
  return found;
}

Result<std::vector<std::string>> labelled(const std::string& label) {
  const auto done = run_program(
      {"docker", "ps", "-a", "--filter", "label=" + label, "--format", "{{.Names}}"}, kAskLimit);
  if (!done) return std::unexpected(done.error());
  if (done->exit_status != 0) {
    return fail(ErrorCode::unavailable, std::string(trimmed(done->error_output)));
  }
  std::vector<std::string> names;
  for (const std::string& line : split(done->output, '\n')) {
    if (!line.empty()) names.push_back(line);
  }
  std::ranges::sort(names);
  return names;
}

Result<std::vector<std::string>> compose_words() {
  for (const std::vector<std::string>& words :
       {std::vector<std::string>{"docker", "compose"}, {"docker-compose"}}) {
    std::vector<std::string> asked = words;
    asked.emplace_back("version");
    const auto done = run_program(asked, kAskLimit);
    if (done && done->exit_status == 0) return words;
  }
  return fail(ErrorCode::unavailable,
              "neither `docker compose` nor docker-compose is installed: tools/setup --docker");
}

Result<void> check_engine(const std::string& image) {
  const auto engine = run_program({"docker", "info", "--format", "{{.ServerVersion}}"}, kAskLimit);
  if (!engine) return std::unexpected(engine.error());
  if (engine->exit_status != 0) {
    return fail(ErrorCode::unavailable,
                text("no Docker engine answers: ", trimmed(engine->error_output)));
  }
  const auto there = run_program({"docker", "image", "inspect", image}, kAskLimit);
  if (there && there->exit_status == 0) return {};
  return fail(ErrorCode::unavailable,
              text("there is no image ", image,
                   ": tools/docker/image builds it, --built from the programs of this tree. "
                   "SHOAL_IMAGE names another"));
}

}  // namespace shoal::chaos
