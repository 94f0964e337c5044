#include "tools/chaos/wired_backend.hpp"

#include <unistd.h>

#include <algorithm>
#include <charconv>

namespace shoal::chaos {
namespace {

namespace fs = std::filesystem;

// Each node offers its share of this machine, as those of `shoal dev` do.
std::vector<std::string> share_words(std::uint32_t nodes) {
  const auto cores = static_cast<std::uint32_t>(std::max(1L, ::sysconf(_SC_NPROCESSORS_ONLN)));
  const std::int64_t memory = ::sysconf(_SC_PHYS_PAGES) * ::sysconf(_SC_PAGESIZE);
  return {"--cpus", std::to_string((cores + nodes - 1) / nodes), "--mem",
          std::to_string(memory / nodes)};
}

}  // namespace

WiredBackend::WiredBackend(const BackendOptions& options)
    : LocalBackend(options, options.folder / (kOwnFolder + random_token()), true) {
  const std::string name = folder().filename().string();
  token_ = name.substr(std::string_view(kOwnFolder).size());
}

BackendNode WiredBackend::node_of(std::uint32_t number) const {
  return {.name = text("n", number), .address = place(number).address};
}

std::uint32_t WiredBackend::number_of(const std::string& node) const {
  std::uint32_t number = 0;
  std::from_chars(node.data() + 1, node.data() + node.size(), number);
  return number;
}

Plan WiredBackend::birth() const {
  Plan plan;
  plan_folder(plan);
  const Plan network = network_birth();
  plan.inject.insert(plan.inject.end(), network.inject.begin(), network.inject.end());
  plan.heal.insert(plan.heal.end(), network.heal.begin(), network.heal.end());
  for (std::uint32_t i = 1; i <= options().nodes; ++i) {
    plan.inject.push_back(start_step(node_of(i), options().shoal));
  }
  return plan;
}

Result<std::vector<DevNode>> WiredBackend::listed() const {
  std::vector<DevNode> all;
  for (std::uint32_t i = 1; i <= options().nodes; ++i) {
    const BackendNode node = node_of(i);
    all.push_back({.name = node.name,
                   .address = node.address,
                   .process = recorded_process(folder() / (node.name + ".pid"))});
  }
  return all;
}

Step WiredBackend::start_step(const BackendNode& node, const std::string& program) const {
  const Place here = place(number_of(node.name));
  std::vector<std::string> words = here.before;
  words.insert(words.end(), {program, "node"});
  words.insert(words.end(), here.options.begin(), here.options.end());
  words.insert(words.end(), {"--name", node.name, "--data", (folder() / node.name).string(),
                             "--profile", "local", "--expect", std::to_string(options().nodes)});
  const std::vector<std::string> share = share_words(options().nodes);
  words.insert(words.end(), share.begin(), share.end());
  for (std::uint32_t i = 1; i <= options().nodes; ++i) {
    const std::string other = place(i).address;
    if (other != here.address) words.insert(words.end(), {"--join", other});
  }
  const fs::path stem = folder() / node.name;
  return StartRecorded{
      .words = words, .log = stem.string() + ".log", .record = stem.string() + ".pid"};
}

std::uint32_t WiredBackend::next_place() {
  const std::uint32_t spare = kPlaces - options().nodes;
  return options().nodes + 1 + joined_++ % spare;
}

Result<LocalBackend::Joiner> WiredBackend::joiner(const Injection&, const std::string&) {
  const Place here = place(next_place());
  Joiner joiner{.address = here.address, .words = here.before};
  joiner.words.insert(joiner.words.end(), {options().shoal, "node"});
  joiner.words.insert(joiner.words.end(), here.options.begin(), here.options.end());
  return joiner;
}

std::optional<std::string> WiredBackend::cannot(const Fault& fault) const {
  if (rule_of(fault.kind).family == Family::network) return cannot_network(fault);
  return LocalBackend::cannot(fault);
}

}  // namespace shoal::chaos
