#include "tools/chaos/commands.hpp"

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <ctime>
#include <random>

#include "tools/chaos/crew.hpp"
#include "tools/chaos/dev_folder.hpp"
#include "tools/chaos/heal.hpp"
#include "tools/chaos/injector.hpp"
#include "tools/chaos/links.hpp"
#include "tools/chaos/lookup.hpp"
#include "tools/chaos/run.hpp"

namespace shoal::chaos {
namespace {

constexpr Ms kDeadManGrace{60'000};

Result<std::unique_ptr<Backend>> open_existing(const CommandOptions& options,
                                               std::vector<FaultKind> kinds) {
  std::string against = options.against;
  if (against == "local") against += ":" + default_dev_folder().string();
  if (against == "compose") {
    return fail(ErrorCode::bad_input,
                "name the project that runs: --against compose:PROJECT (what its containers' names "
                "begin with)");
  }
  return open_backend({.against = against,
                       .shoal = options.shoal,
                       .folder = options.folder,
                       .faults = std::move(kinds)});
}

Result<std::vector<std::string>> look_up_now(const std::vector<BackendNode>& nodes,
                                             const Target& target) {
  asio::io_context context;
  Crew crew(context);
  ClientOptions options;
  std::vector<std::string> names;
  for (const BackendNode& node : nodes) {
    names.push_back(node.name);
    options.addresses.push_back(node.address);
  }
  options.timeout = Ms(5000);
  Client client(context, std::move(options));
  Result<std::vector<std::string>> found = fail(ErrorCode::internal, "nothing was looked up");
  const auto work = [&]() -> asio::awaitable<void> {
    found = co_await look_up(client, target, std::nullopt, names);
  };
  crew.spawn(work());
  while (crew.size() > 0) context.run_one();
  return found;
}

Result<Injection> settle(const std::vector<BackendNode>& nodes, const Fault& fault,
                         std::uint32_t id, Random& random) {
  Injection injection{.id = id, .fault = fault};
  if (!rule_of(fault.kind).targeted) return injection;
  Result<std::vector<std::string>> chosen = fail(ErrorCode::internal, "");
  if (looked_up(fault.target)) {
    chosen = look_up_now(nodes, fault.target);
  } else {
    Choice choice;
    for (const BackendNode& node : nodes) {
      choice.nodes.push_back(node.name);
      if (node.state != NodeState::up) choice.held.push_back(node.name);
    }
    chosen = choose(fault.target, choice, random);
  }
  if (!chosen) return std::unexpected(chosen.error());
  injection.nodes = *std::move(chosen);
  settle_draw(injection.fault, random);
  return injection;
}

// While this lives, SIGINT and SIGTERM wait for sleep().
class Signals {
 public:
  Signals() {
    sigemptyset(&set_);
    for (const int each : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&set_, each);
    ::pthread_sigmask(SIG_BLOCK, &set_, &before_);
  }
  ~Signals() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;

  // False when it was interrupted.
  bool sleep(Ms time) const {
    timespec limit{};
    limit.tv_sec = static_cast<time_t>(time.count() / 1000);
    limit.tv_nsec = static_cast<long>(time.count() % 1000) * 1'000'000;
    return ::sigtimedwait(&set_, nullptr, &limit) < 0;
  }

 private:
  sigset_t set_{};
  sigset_t before_{};
};

// One command's fault, again and again if need be.
class Breaker {
 public:
  Breaker(Backend& backend, Journal& journal, const Fault& fault, Random random)
      : backend_(backend), journal_(journal), fault_(fault), random_(random) {}

  // Breaks once; with a duration heals too. The result is an exit status.
  int once(const Signals& signals) {
    const auto nodes = backend_.nodes();
    if (!nodes) return failed(nodes.error());
    const auto injection = settle(*nodes, fault_, ++count_, random_);
    if (!injection) return failed(injection.error());
    const auto plan = plan_of(backend_, *injection);
    if (!plan) return failed(plan.error());
    const bool brief = at_once(fault_.kind) && !fault_.duration;
    const Ms length = brief ? Ms(0) : fault_.duration.value_or(kUnattendedMax);
    const bool stays = fault_.duration || brief;
    const auto entry = journal_.open_entry(text_of(*injection), plan->heal,
                                           stays ? length + kDeadManGrace : length);
    if (!entry) return failed(entry.error());
    tell(text_of(*injection));
    for (const std::string& command : texts_of(plan->inject)) tell("  " + command);
    const auto done = perform_steps(plan->inject);
    if (!done) {
      heal(*entry);
      return failed(done.error());
    }
    if (!stays) return kExitGood;
    const bool slept = signals.sleep(length);
    const int healed = heal(*entry);
    return slept ? healed : kExitInterrupted;
  }

 private:
  int heal(std::uint32_t entry) {
    int status = kExitGood;
    for (const Healed& each : heal_journal(journal_.path(), Which::one, entry)) {
      tell("healed: " + each.what);
      for (const std::string& command : each.commands) tell("  " + command);
      if (each.error) status = failed(*each.error);
    }
    return status;
  }

  Backend& backend_;
  Journal& journal_;
  const Fault& fault_;
  Random random_;
  std::uint32_t count_ = 0;
};

int rehearse(Backend& backend, const Fault& fault, Random random) {
  const auto nodes = backend.nodes();
  if (!nodes) return failed(nodes.error());
  const auto injection = settle(*nodes, fault, 1, random);
  if (!injection) return failed(injection.error());
  const auto plan = plan_of(backend, *injection);
  if (!plan) return failed(plan.error());
  std::printf("%s\n", text_of(*injection).c_str());
  for (const std::string& each : texts_of(plan->inject)) std::printf("  %s\n", each.c_str());
  std::printf("and to heal it\n");
  for (const std::string& each : texts_of(plan->heal)) std::printf("  %s\n", each.c_str());
  return kExitGood;
}

int break_and_wait(Backend& backend, const Fault& fault, Random random, std::optional<Ms> every) {
  const Signals signals;
  auto journal =
      Journal::create(journal_folder(), std::string(rule_of(fault.kind).name), backend.name());
  if (!journal) return failed(journal.error());
  if (const auto watch = start_dead_man(journal->path()); !watch) return failed(watch.error());
  Breaker breaker(backend, *journal, fault, random);
  int status = breaker.once(signals);
  while (every && (status == kExitGood) && signals.sleep(*every)) status = breaker.once(signals);
  const auto contents = read_journal(journal->path());
  if (contents && contents->whole()) {
    if (const auto closed = journal->close(); !closed) return failed(closed.error());
    return status;
  }
  if (const auto left = journal->leave(); !left) return failed(left.error());
  tell(text("it stays so for ", duration_text(kUnattendedMax), ", or until `shoal-chaos heal`"));
  return status;
}

}  // namespace

int break_once(const CommandOptions& options, const Fault& fault, std::optional<Ms> every) {
  if (!options.dry_run) {
    for (const Healed& each : heal_everything(Whose::crashed)) {
      tell("healed, left over from a crash: " + each.what);
    }
  }
  const auto backend = open_existing(options, {fault.kind});
  if (!backend) return failed(backend.error());
  if (const auto why = (*backend)->cannot(fault)) {
    return failed(
        {ErrorCode::bad_input, text("'", rule_of(fault.kind).name, "' is not possible with ",
                                    (*backend)->name(), ": ", *why)});
  }
  if (every && !fault.duration && !at_once(fault.kind)) {
    return failed({ErrorCode::bad_input, "--every needs --for: how long each of them lasts"});
  }
  std::random_device source;
  const Random random(options.seed.value_or(source()), "command");
  if (options.dry_run) return rehearse(**backend, fault, random);
  return break_and_wait(**backend, fault, random, every);
}

int heal_all(bool all) {
  const std::vector<Healed> healed = heal_everything(all ? Whose::all : Whose::left);
  int status = kExitGood;
  for (const Healed& each : healed) {
    std::printf("%s %s\n", each.error ? "not healed:" : "healed:", each.what.c_str());
    for (const std::string& command : each.commands) std::printf("  %s\n", command.c_str());
    if (each.error) status = failed(*each.error);
  }
  if (healed.empty()) tell("nothing is left to heal");
  for (const std::filesystem::path& path : journals()) {
    const auto contents = read_journal(path);
    if (!contents || !contents->owned() || contents->whole()) continue;
    tell(text("process ", contents->owner.pid, " (", contents->what,
              ") is at work and heals what it breaks; `heal --all` does not wait for it"));
  }
  return status;
}

int status(const CommandOptions& options) {
  const auto backend = open_existing(options, {});
  if (!backend) return failed(backend.error());
  const auto nodes = (*backend)->nodes();
  if (!nodes) return failed(nodes.error());
  Json list = Json::array();
  Json broken = Json::array();
  for (const BackendNode& node : *nodes) {
    list.push_back({{"name", node.name},
                    {"address", node.address},
                    {"pid", node.process ? Json(node.process.pid) : Json(nullptr)},
                    {"state", to_string(node.state)}});
  }
  for (const std::filesystem::path& path : journals()) {
    const auto contents = read_journal(path);
    if (!contents) continue;
    for (const JournalEntry& entry : contents->entries) {
      if (entry.healed) continue;
      broken.push_back({{"what", entry.what},
                        {"against", contents->against},
                        {"by", contents->what},
                        {"owner", contents->owned() ? Json(contents->owner.pid) : Json(nullptr)},
                        {"failures", entry.failures}});
    }
  }
  if (options.json) {
    const Json whole{{"schema", "shoal.chaos.status/1"},
                     {"against", (*backend)->name()},
                     {"nodes", list},
                     {"broken", broken}};
    std::printf("%s\n", dumped(whole, 2).c_str());
    return kExitGood;
  }
  for (const BackendNode& node : *nodes) {
    std::printf("%-8s %-22s %8d  %s\n", node.name.c_str(), node.address.c_str(), node.process.pid,
                std::string(to_string(node.state)).c_str());
  }
  for (const Json& each : broken) {
    std::printf("broken: %s, by %s%s\n", each["what"].get<std::string>().c_str(),
                each["by"].get<std::string>().c_str(),
                each["owner"].is_null() ? "; `shoal-chaos heal` mends it" : ", still at work");
  }
  return kExitGood;
}

int list_faults(const CommandOptions& options) {
  // Also without a cluster: then there is no word on what is possible.
  const auto backend = open_existing(options, {});
  for (const FaultRule& rule : catalogue()) {
    Fault fault{.kind = rule.kind};
    std::string possible;
    if (backend) {
      const auto why = (*backend)->cannot(fault);
      possible = why ? "not with " + (*backend)->name() + ": " + *why : std::string();
    }
    std::printf("%-14s %s\n", std::string(rule.name).c_str(), std::string(rule.help).c_str());
    for (const ParameterRule& each : rule.parameters) {
      std::printf("  %-12s %s%s\n", std::string(each.name).c_str(), std::string(each.help).c_str(),
                  each.otherwise.empty() ? "" : text(" (", each.otherwise, ")").c_str());
    }
    if (!possible.empty()) std::printf("  %s\n", possible.c_str());
  }
  return kExitGood;
}

}  // namespace shoal::chaos
