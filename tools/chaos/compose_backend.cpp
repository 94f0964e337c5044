#include "tools/chaos/compose_backend.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>

namespace shoal::chaos {
namespace {

namespace fs = std::filesystem;

constexpr const char* kImage = "shoal";
constexpr const char* kMarkProgram = "/usr/local/bin/shoal-chaos-mark";
constexpr const char* kShared = "/chaos";  // As the nodes of an own cluster see the shared folder.
constexpr const char* kData = "/var/lib/shoal";
constexpr Ms kBirthLimit{180'000};
constexpr Ms kEndLimit{60'000};
constexpr Ms kLogLimit{20'000};
constexpr Ms kAskLimit{5'000};
constexpr std::uint32_t kNodesMax = 99;
constexpr std::uint32_t kFirstHost = 100;  // What the engine gives out by itself lies below.

std::string image_name() {
  const char* image = std::getenv("SHOAL_IMAGE");
  return image != nullptr && *image != '\0' ? image : kImage;
}

std::string address_of(std::uint32_t subnet, std::uint32_t number) {
  return text("10.213.", subnet, ".", kFirstHost + number);
}

void append_file(std::ofstream& whole, const fs::path& path) {
  std::ifstream part(path, std::ios::binary);
  // Copying nothing would count as a failure.
  if (part.peek() != std::ifstream::traits_type::eof()) whole << part.rdbuf();
}

BackendNode node_of(const Container& container) {
  return {.name = container.host_name,
          .address = container.address,
          .process = container.process,
          .state = container.state};
}

}  // namespace

Result<std::unique_ptr<Backend>> ComposeBackend::open(const BackendOptions& options) {
  const std::size_t colon = options.against.find(':');
  const std::string words =
      colon == std::string::npos ? std::string() : options.against.substr(colon + 1);
  Where where{.image = image_name()};
  if (words.empty() || words.ends_with(".yml") || words.ends_with(".yaml")) {
    where.file = fs::absolute(words.empty() ? SHOAL_CHAOS_COMPOSE : words);
    where.project = kOwnFolder + random_token();
    if (options.nodes > kNodesMax) {
      return fail(ErrorCode::bad_input, text("at most ", kNodesMax, " containers"));
    }
    if (!fs::exists(where.file)) {
      return fail(ErrorCode::not_found, text("there is no file ", where.file.string()));
    }
    where.compose = {"docker-compose"};
    if (!options.imaginary) {
      if (auto ready = check_engine(where.image); !ready) return std::unexpected(ready.error());
      auto compose = compose_words();
      if (!compose) return std::unexpected(compose.error());
      where.compose = *std::move(compose);
    }
    return std::make_unique<ComposeBackend>(options, std::move(where));
  }
  where.project = words;
  auto backend = std::make_unique<ComposeBackend>(options, std::move(where));
  if (const auto nodes = backend->nodes(); !nodes) return std::unexpected(nodes.error());
  return backend;
}

ComposeBackend::ComposeBackend(BackendOptions options, Where where)
    : options_(std::move(options)), where_(std::move(where)), token_(random_token()) {
  folder_ = options_.folder / where_.project;
  subnet_ = static_cast<std::uint32_t>(std::stoul(token_.substr(0, 2), nullptr, 16));
}

std::string ComposeBackend::name() const { return own() ? "compose" : "compose:" + where_.project; }

std::string ComposeBackend::container_name(const std::string& node) const {
  if (own()) return text(where_.project, "-", node);
  const auto found = std::ranges::find(containers_, node, &Container::host_name);
  return found == containers_.end() ? node : found->name;
}

std::string ComposeBackend::network_name() const {
  return own() || containers_.empty() ? where_.project + "_default" : containers_.front().network;
}

std::string ComposeBackend::compose_text() const {
  std::string whole = "services:\n";
  for (std::uint32_t i = 1; i <= options_.nodes; ++i) {
    const std::string node = text("n", i);
    whole +=
        text("  ", node, ":\n    extends:\n      file: ", where_.file.string(),
             "\n      service: node\n    container_name: ", container_name(node),
             "\n    hostname: ", node, "\n    restart: \"no\"\n    deploy:\n      replicas: 1\n",
             "    volumes:\n      - ", (folder_ / "shared").string(), ":", kShared,
             "\n    networks:\n      default:\n        ipv4_address: ", address_of(subnet_, i),
             "\n        aliases:\n          - node\n");
  }
  return whole + text("networks:\n  default:\n    ipam:\n      config:\n        - subnet: 10.213.",
                      subnet_, ".0/24\n");
}

Plan ComposeBackend::birth() const {
  Plan plan;
  if (!own()) return plan;
  const std::string shared = (folder_ / "shared").string();
  const std::string file = (folder_ / "compose.yml").string();
  plan.inject.push_back(RunProgram{.words = {"mkdir", "-p", shared}});
  plan.inject.push_back(RunProgram{.words = {"chmod", "777", shared}});
  plan.inject.push_back(
      RunProgram{.words = {"sh", "-c", R"(printf %s "$1" >"$2")", "sh", compose_text(), file}});
  std::vector<std::string> up = where_.compose;
  up.insert(up.end(), {"-f", file, "-p", where_.project, "up", "-d", "--no-build"});
  plan.inject.push_back(RunProgram{.words = std::move(up), .limit = kBirthLimit});
  // Some may not be there, or not any more; that none is left is asked afterwards.
  std::vector<std::string> end{"docker", "rm", "-fv"};
  for (const std::string& node : names()) end.push_back(container_name(node));
  plan.heal.push_back(RunProgram{.words = std::move(end), .good = {}, .limit = kEndLimit});
  plan.heal.push_back(RunProgram{.words = {"docker", "network", "rm", network_name()}, .good = {}});
  plan.heal.push_back(RunProgram{
      .words = {"sh", "-c", R"(left=$(docker ps -aq --filter "label=$1") && test -z "$left")", "sh",
                "com.docker.compose.project=" + where_.project}});
  plan.heal.push_back(Remove{.path = folder_.string(), .all = true});
  return plan;
}

std::vector<std::string> ComposeBackend::names() const {
  std::vector<std::string> names;
  if (own()) {
    for (std::uint32_t i = 1; i <= options_.nodes; ++i) names.push_back(text("n", i));
  } else {
    for (const Container& each : containers_) names.push_back(each.host_name);
  }
  return names;
}

Result<std::vector<Container>> ComposeBackend::containers() const {
  if (own() && options_.imaginary) {
    std::vector<Container> made;
    for (std::uint32_t i = 1; i <= options_.nodes; ++i) {
      const std::string node = text("n", i);
      made.push_back({.name = container_name(node),
                      .host_name = node,
                      .image = where_.image,
                      .address = address_of(subnet_, i) + kPort,
                      .network = network_name()});
    }
    return made;
  }
  if (own()) {
    std::vector<std::string> all;
    for (const std::string& node : names()) all.push_back(container_name(node));
    auto found = inspect(all);
    // Theirs also while they are down.
    for (std::uint32_t i = 1; found && i <= options_.nodes; ++i) {
      const auto each = std::ranges::find(*found, text("n", i), &Container::host_name);
      if (each != found->end()) each->address = address_of(subnet_, i) + kPort;
    }
    return found;
  }
  const auto all = labelled("com.docker.compose.project=" + where_.project);
  if (!all) return std::unexpected(all.error());
  auto found = inspect(*all);
  if (found) std::erase_if(*found, [](const Container& each) { return !each.node; });
  if (found && !found->empty()) return found;
  return fail(ErrorCode::not_found,
              text("there is no docker-compose project ", where_.project,
                   " with nodes in it; `docker ps` shows what runs, and the project is what its "
                   "containers' names begin with"));
}

Result<std::vector<BackendNode>> ComposeBackend::nodes() {
  auto found = containers();
  if (!found) return std::unexpected(found.error());
  containers_ = *std::move(found);
  std::vector<BackendNode> nodes;
  for (const Container& each : containers_) nodes.push_back(node_of(each));
  return nodes;
}

Steps ComposeBackend::start(const BackendNode& node) const {
  return {RunProgram{.words = {"docker", "start", container_name(node.name)}}};
}

std::optional<std::string> ComposeBackend::cannot(const Fault& fault) const {
  switch (rule_of(fault.kind).family) {
    case Family::disk:
      return "containers share the disk of their engine";
    case Family::played:
      return "its nodes are not started for tests: the back ends local, relay and netns do that";
    case Family::network:
      return cannot_network(fault);
    case Family::process:
      if (fault.kind == FaultKind::upgrade && !own() && fault.word("program") == "copy") {
        return "nodes of a cluster that is not this tool's need a program of their own: name it";
      }
      return std::nullopt;
    case Family::load:
    case Family::members:
      break;
  }
  return std::nullopt;
}

std::optional<std::string> ComposeBackend::cannot_network(const Fault& fault) const {
  const bool drops = fault.kind == FaultKind::partition || fault.kind == FaultKind::net_loss ||
                     fault.kind == FaultKind::net_rate;
  if (!drops) return "packets between containers can only be dropped; `--against relay` does it";
  if (options_.imaginary) return std::nullopt;
  if (::geteuid() != 0) return "it takes root, to drop packets; `--against relay` does it without";
  static const bool installed = run_program({"nft", "--version"}, kAskLimit).has_value();
  if (!installed) return "there is no program `nft` here: install nftables";
  return std::nullopt;
}

std::string ComposeBackend::marks_file(const fs::path&) const {
  return own() ? text(kShared, "/marks") : text(kData, "/chaos-marks-", token_);
}

std::string ComposeBackend::mark_program(const fs::path&) const { return kMarkProgram; }

std::string ComposeBackend::joiner_marks() const {
  return (options_.folder / text(kOwnFolder, "marks-", token_, "-")).string();
}

Result<void> ComposeBackend::gather_marks(const fs::path& run_folder) {
  std::error_code error;
  if (own()) {
    fs::copy_file(folder_ / "shared" / "marks", run_folder / "marks",
                  fs::copy_options::overwrite_existing, error);
    if (!error) return {};
    return fail(ErrorCode::io, text("the marks cannot be copied: ", error.message()));
  }
  std::ofstream whole(run_folder / "marks", std::ios::trunc);
  const fs::path part = run_folder / "marks-part";
  for (const Container& each : containers_) {
    // A node that ran nothing has none.
    const auto done = run_program(
        {"docker", "cp", text(each.name, ":", marks_file(run_folder)), part.string()}, kLogLimit);
    if (!done) return std::unexpected(done.error());
    if (done->exit_status == 0) append_file(whole, part);
    fs::remove(part, error);
  }
  for (const fs::directory_entry& each : fs::directory_iterator(options_.folder, error)) {
    if (!each.path().string().starts_with(joiner_marks())) continue;
    append_file(whole, each.path());
    fs::remove(each.path(), error);
  }
  whole.close();
  if (whole) return {};
  return fail(ErrorCode::io, "the marks cannot be written");
}

Result<void> ComposeBackend::gather(const fs::path& run_folder) {
  for (const Container& each : containers_) {
    const auto logs = run_program({"docker", "logs", each.name}, kLogLimit);
    if (!logs) continue;
    std::ofstream(run_folder / "nodes" / (each.host_name + ".log"), std::ios::trunc)
        << logs->output << logs->error_output;
  }
  return gather_marks(run_folder);
}

}  // namespace shoal::chaos
