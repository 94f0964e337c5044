#include "tools/chaos/relay_backend.hpp"

namespace shoal::chaos {
namespace {

constexpr Ms kUnattended{600'000};  // A fault without an end.
constexpr Ms kDeadManGrace{60'000};

}  // namespace

Result<std::unique_ptr<Backend>> RelayBackend::open(const BackendOptions& options) {
  if (options.against != "relay") {
    return fail(ErrorCode::bad_input,
                "a relay stands between nodes of a run's own cluster only: `run SCENARIO --against "
                "relay`");
  }
  return std::make_unique<RelayBackend>(options);
}

RelayBackend::RelayBackend(const BackendOptions& options) : WiredBackend(options) {
  // From 127.64.1.0 to 127.254.254.0: away from what others use of the loopback.
  Random random(0, token());
  subnet_ = text("127.", random.between(64, 254), ".", random.between(1, 254), ".");
}

WiredBackend::Place RelayBackend::place(std::uint32_t number) const {
  const RelayPlace here = relay_place(subnet_, number, options().nodes);
  const std::string front = text(here.front.to_string(), ":", here.port);
  return {
      .address = front,
      .before = {},
      .options = {"--listen", text(here.own.to_string(), ":", here.port), "--advertise", front}};
}

RunProgram RelayBackend::tell_step(std::vector<std::string> words) const {
  words.insert(words.begin(),
               {this_program().string(), "relay-tell", (folder() / "relay.sock").string()});
  return {.words = std::move(words)};
}

Plan RelayBackend::network_birth() const {
  const std::vector<std::string> words{this_program().string(),
                                       "relay",
                                       "--control",
                                       (folder() / "relay.sock").string(),
                                       "--subnet",
                                       subnet_,
                                       "--nodes",
                                       std::to_string(options().nodes)};
  Plan plan;
  // The folder in its command line ends it with the nodes.
  plan.inject = {StartProgram{.words = words, .log = (folder() / "relay.log").string()},
                 tell_step({"state"})};
  return plan;
}

std::optional<std::string> RelayBackend::cannot_network(const Fault&) const { return std::nullopt; }

Result<Plan> RelayBackend::network(const Injection& injection) {
  const auto links = links_of(injection, names());
  if (!links) return std::unexpected(links.error());
  const Ms limit = injection.fault.duration.value_or(kUnattended) + kDeadManGrace;
  RunProgram unset = tell_step({"unset", std::to_string(injection.id)});
  unset.good = {};  // With the relay its rules are gone.
  Plan plan;
  plan.inject = {tell_step(relay_words(injection.id, limit, injection.fault, *links))};
  plan.heal = {unset};
  return plan;
}

}  // namespace shoal::chaos
