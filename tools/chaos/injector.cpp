#include "tools/chaos/injector.hpp"

#include <algorithm>

#include "tools/chaos/heal.hpp"

namespace shoal::chaos {
namespace {

using SteadyClock = std::chrono::steady_clock;

constexpr std::size_t kThreads = 4;
// The dead man leaves the tool so much more time before it mends a fault itself.
constexpr Ms kDeadManGrace{60'000};

}  // namespace

Result<void> perform_steps(const Steps& steps) {
  for (const Step& step : steps) {
    if (auto done = perform(step); !done) return done;
  }
  return {};
}

Injector::Injector(Crew& crew, Backend& backend, Journal& journal, Recording& recording,
                   Hooks hooks)
    : crew_(crew),
      backend_(backend),
      journal_(journal),
      recording_(recording),
      hooks_(std::move(hooks)),
      pool_(kThreads) {}

Injector::~Injector() { pool_.join(); }

void Injector::start(Planned planned) { crew_.spawn(live(std::move(planned))); }

bool Injector::holds(const std::string& node, Ms grace) const {
  const auto held = held_.find(node);
  if (held != held_.end() && held->second > 0) return true;
  const auto freed = freed_.find(node);
  return freed != freed_.end() && SteadyClock::now() - freed->second < grace;
}

asio::awaitable<Result<void>> Injector::perform_all(Steps steps) {
  const auto work = [steps = std::move(steps)]() -> asio::awaitable<Result<void>> {
    co_return perform_steps(steps);
  };
  co_return co_await asio::co_spawn(pool_, work, asio::use_awaitable);
}

Json Injector::record_of(const Injection& injection, const char* state) const {
  Json parameters = Json::object();
  for (const auto& [name, value] : injection.fault.parameters) parameters[name] = text_of(value);
  return {{"fault", injection.id},
          {"state", state},
          {"what", rule_of(injection.fault.kind).name},
          {"family", to_string(rule_of(injection.fault.kind).family)},
          {"text", text_of(injection)},
          {"nodes", injection.nodes},
          {"parameters", parameters}};
}

void Injector::skip(const Injection& injection, const std::string& why) {
  Json line = record_of(injection, "skipped");
  line["error"] = why;
  recording_.fault(std::move(line));
  hooks_.tell(text("skipped ", text_of(injection), ": ", why));
}

asio::awaitable<void> Injector::live(Planned planned) {
  Injection& injection = planned.injection;
  co_await crew_.sleep_until(recording_.origin() + planned.at);
  if (crew_.stopping()) co_return;
  if (planned.lookup) {
    auto found = co_await hooks_.look_up(injection.fault.target);
    if (!found) {
      skip(injection, found.error().message);
      co_return;
    }
    injection.nodes = *std::move(found);
  }
  const auto plan = plan_of(backend_, injection);
  if (!plan) {
    skip(injection, plan.error().message);
    co_return;
  }
  const Ms length = planned.until - planned.at;
  const auto entry = journal_.open_entry(text_of(injection), plan->heal, length + kDeadManGrace);
  if (!entry) {
    skip(injection, entry.error().message);
    co_return;
  }
  hold(injection);
  const Time begun = recording_.now();
  Json line = record_of(injection, "injected");
  line["begun"] = begun.count();
  line["until"] = Time(planned.until).count();
  line["commands"] = texts_of(plan->inject);
  ++injected_;
  hooks_.tell(text_of(injection));
  const auto done = co_await perform_all(plan->inject);
  line["took_us"] = (recording_.now() - begun).count();
  if (!done) {
    line["state"] = "failed";
    line["error"] = done.error().message;
    hooks_.tell(text("failed: ", done.error().message));
  }
  recording_.fault(std::move(line));
  hooks_.injected(injection);
  co_await crew_.sleep_until(recording_.origin() + planned.until);
  co_await heal(injection, *entry);
}

// No node may end because of its network.
void Injector::hold(const Injection& injection) {
  if (rule_of(injection.fault.kind).family == Family::network) return;
  for (const std::string& node : injection.nodes) ++held_[node];
}

void Injector::let_go(const Injection& injection) {
  if (rule_of(injection.fault.kind).family == Family::network) return;
  for (const std::string& node : injection.nodes) {
    --held_[node];
    freed_[node] = SteadyClock::now();
  }
}

asio::awaitable<void> Injector::heal(Injection injection, std::uint32_t entry) {
  const auto work = [this, entry]() -> asio::awaitable<std::vector<Healed>> {
    co_return heal_journal(journal_.path(), Which::one, entry);
  };
  const Time begun = recording_.now();
  const std::vector<Healed> healed = co_await asio::co_spawn(pool_, work, asio::use_awaitable);
  Json line = record_of(injection, "healed");
  line["begun"] = begun.count();
  line["took_us"] = (recording_.now() - begun).count();
  line["commands"] = healed.empty() ? std::vector<std::string>() : healed.front().commands;
  if (!healed.empty() && healed.front().error) {
    line["error"] = healed.front().error->message;
    hooks_.tell(text("healing ", text_of(injection), ": ", healed.front().error->message));
  }
  recording_.fault(std::move(line));
  let_go(injection);
  hooks_.tell(text("healed ", text_of(injection)));
  hooks_.healed(injection);
}

}  // namespace shoal::chaos
