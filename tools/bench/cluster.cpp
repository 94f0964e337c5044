#include "tools/bench/cluster.hpp"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <nlohmann/json.hpp>
#include <sstream>
#include <utility>

#include "tools/bench/child_process.hpp"

namespace shoal::bench {
namespace {

Result<std::vector<Cluster::Node>> nodes_of(const std::string& text) {
  const auto list = nlohmann::json::parse(text, nullptr, false);
  std::vector<Cluster::Node> nodes;
  if (list.is_array()) {
    for (const auto& one : list) {
      nodes.push_back({.name = one.value("name", ""), .address = one.value("address", "")});
    }
  }
  if (nodes.empty()) {
    return fail(ErrorCode::io, "`shoal dev ps --json` printed no list of nodes but: " + text);
  }
  return nodes;
}

}  // namespace

Result<Cluster> Cluster::start(const std::string& shoal, const std::string& parent,
                               std::uint32_t nodes) {
  const auto version = run_program({shoal, "version"});
  if (!version) return std::unexpected(version.error());
  std::string pattern = parent + "/shoal-bench-XXXXXX";
  if (::mkdtemp(pattern.data()) == nullptr) {
    return fail(ErrorCode::io, "cannot make a folder in " + parent + ": " + std::strerror(errno) +
                                   ". Give another one with --dir");
  }
  Cluster cluster;
  cluster.shoal_ = shoal;
  cluster.folder_ = pattern;
  const auto started = cluster.dev({"-n", std::to_string(nodes)});
  if (!started) return std::unexpected(started.error());
  const auto listed = cluster.dev({"ps", "--json"});
  if (!listed) return std::unexpected(listed.error());
  auto known = nodes_of(*listed);
  if (!known) return std::unexpected(known.error());
  cluster.nodes_ = std::move(*known);
  return cluster;
}

Cluster Cluster::at(const std::string& addresses) {
  Cluster cluster;
  std::istringstream list(addresses);
  std::string address;
  while (std::getline(list, address, ',')) {
    if (!address.empty()) cluster.nodes_.push_back({.name = address, .address = address});
  }
  return cluster;
}

Cluster::Cluster(Cluster&& other) noexcept
    : shoal_(std::move(other.shoal_)),
      folder_(std::exchange(other.folder_, {})),
      nodes_(std::move(other.nodes_)) {}

Cluster::~Cluster() {
  if (!own()) return;
  const auto stopped = dev({"stop"});
  if (!stopped) {
    std::fprintf(stderr, "shoal-bench: the cluster in %s could not be stopped: %s\n",
                 folder_.c_str(), stopped.error().message.c_str());
    return;
  }
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

ClientOptions Cluster::client_options(std::size_t first) const {
  ClientOptions options;
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    options.addresses.push_back(nodes_[(first + i) % nodes_.size()].address);
  }
  options.timeout = std::chrono::seconds(60);
  return options;
}

Result<void> Cluster::kill(const std::string& name) {
  const auto done = dev({"kill", name});
  if (!done) return std::unexpected(done.error());
  return {};
}

Result<void> Cluster::restart(const std::string& name) {
  const auto done = dev({"start", name});
  if (!done) return std::unexpected(done.error());
  return {};
}

Result<std::string> Cluster::dev(std::vector<std::string> words) const {
  std::vector<std::string> command{shoal_, "dev"};
  command.insert(command.end(), words.begin(), words.end());
  command.insert(command.end(), {"--dir", folder_.string()});
  auto finished = run_program(command, {}, std::chrono::seconds(300));
  if (!finished) return std::unexpected(finished.error());
  if (finished->exit_status == 0) return std::move(finished->output);
  std::string line;
  for (const std::string& word : command) line += (line.empty() ? "" : " ") + word;
  return fail(ErrorCode::io, "`" + line + "` ended with status " +
                                 std::to_string(finished->exit_status) + ": " +
                                 finished->error_output);
}

}  // namespace shoal::bench
