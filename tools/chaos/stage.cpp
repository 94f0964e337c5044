#include "tools/chaos/stage.hpp"

#include <algorithm>
#include <csignal>

#include "tools/chaos/lookup.hpp"

namespace shoal::chaos {
namespace {

using SteadyClock = std::chrono::steady_clock;

constexpr Ms kTick{100};
constexpr Ms kProgressEvery{5'000};
constexpr Ms kGuardEvery{300};
constexpr Ms kExcused{5'000};  // A node may end so long after a fault has let go of it.
constexpr Ms kAttention{12'000};
constexpr Ms kAgreeLimit{60'000};
constexpr Ms kLastCanaries{30'000};  // Longer than a lease: a new owner may wait that long.
constexpr int kReadTries = 5;

std::vector<std::string> texts_of_addresses(const std::vector<BackendNode>& nodes) {
  std::vector<std::string> all;
  for (const BackendNode& node : nodes) all.push_back(node.address);
  return all;
}

// Faults that may cost shards their owner.
bool may_cost_owners(const Fault& fault) {
  switch (fault.kind) {
    case FaultKind::kill:
    case FaultKind::stop:
    case FaultKind::pause:
    case FaultKind::restart:
    case FaultKind::upgrade:
    case FaultKind::disk_full:
    case FaultKind::disk_slow:
    case FaultKind::disk_read_only:
    case FaultKind::partition:
      return true;
    default:
      return false;
  }
}

bool all_ended(const TaskListing& listing) {
  return !listing.tasks.empty() && std::ranges::all_of(listing.tasks, [](const TaskStatus& each) {
    return terminal(each.state);
  });
}

// What the node itself answers; absent when it does not.
asio::awaitable<std::optional<ClusterView>> ask(asio::io_context& context, BackendNode node) {
  ClientOptions options{.addresses = {node.address}};
  options.timeout = Ms(1000);
  Client client(context, std::move(options));
  auto view = co_await client.members(false);
  if (!view || !view->serving) co_return std::nullopt;
  const bool own = std::ranges::any_of(view->members, [&node](const MemberView& member) {
    return member.self && member.name == node.name;
  });
  if (!own) co_return std::nullopt;
  co_return std::move(*view);
}

asio::awaitable<void> look_until_whole(Crew& crew, std::vector<BackendNode> nodes,
                                       SteadyClock::time_point end, std::string& missing) {
  while (!crew.stopping()) {
    missing.clear();
    for (const BackendNode& node : nodes) {
      const auto view = co_await ask(crew.context(), node);
      const auto alive = !view ? 0 : std::ranges::count_if(nodes, [&view](const BackendNode& one) {
        return std::ranges::any_of(view->members, [&one](const MemberView& member) {
          return member.name == one.name && member.state == "alive";
        });
      });
      if (!view) missing = text(node.name, " (", node.address, ") does not answer");
      if (view && std::cmp_not_equal(alive, nodes.size())) {
        missing = text(node.name, " sees ", alive, " of ", nodes.size(), " nodes alive");
      }
      if (!missing.empty()) break;
    }
    if (missing.empty() || SteadyClock::now() >= end) co_return;
    co_await crew.sleep(kTick);
  }
}

}  // namespace

Result<void> wait_until_whole(const std::vector<BackendNode>& nodes, Ms limit) {
  asio::io_context context;
  Crew crew(context);
  std::string missing;
  crew.spawn(look_until_whole(crew, nodes, SteadyClock::now() + limit, missing));
  while (crew.size() > 0) context.run_one();
  if (missing.empty()) return {};
  return fail(ErrorCode::unavailable, text("the cluster is not whole: ", missing));
}

Stage::Stage(Prepared& prepared, Journal& journal, Recording& recording,
             std::vector<BackendNode> nodes)
    : prepared_(prepared),
      recording_(recording),
      nodes_(std::move(nodes)),
      signals_(context_, SIGINT, SIGTERM, SIGHUP),
      history_(recording),
      script_(context_),
      load_crew_(context_),
      watch_crew_(context_),
      canary_crew_(context_),
      fault_crew_(context_),
      load_(load_crew_, recording, history_, load_options()),
      samples_(watch_crew_, recording, addresses()),
      canaries_(canary_crew_, recording, history_, texts_of_addresses(nodes_), prepared.seed),
      injector_(fault_crew_, *prepared.backend, journal, recording, hooks()) {}

std::vector<NamedAddress> Stage::addresses() const {
  std::vector<NamedAddress> all;
  for (const BackendNode& node : nodes_) all.push_back({node.name, node.address});
  return all;
}

LoadOptions Stage::load_options() const {
  const Backend& backend = *prepared_.backend;
  return {.spec = prepared_.scenario.load,
          .duration = prepared_.scenario.duration,
          .seed = prepared_.seed,
          .name = "chaos-" + prepared_.scenario.name,
          .addresses = texts_of_addresses(nodes_),
          .mark_program = backend.mark_program(recording_.folder()),
          .marks_file = backend.marks_file(recording_.folder())};
}

Injector::Hooks Stage::hooks() {
  const auto look = [this](Target target) -> asio::awaitable<Result<std::vector<std::string>>> {
    ClientOptions options{.addresses = texts_of_addresses(nodes_)};
    options.timeout = Ms(3000);
    Client client(context_, std::move(options));
    co_return co_await look_up(client, std::move(target), load_.newest(),
                               prepared_.backend->names());
  };
  return {.look_up = look,
          .injected = [this](const Injection& injection) { on_injected(injection); },
          .healed = [this](const Injection&) { samples_.attend(kAttention); },
          .tell =
              [this](const std::string& line) {
                tell(text(duration_text(Ms(recording_.now() / Ms(1))), "  ", line));
              }};
}

void Stage::on_injected(const Injection& injection) {
  samples_.attend(kAttention);
  if (!may_cost_owners(injection.fault)) return;
  const std::vector<std::string>& hurt = injection.nodes;
  std::vector<std::string> away;
  for (const BackendNode& node : nodes_) {
    if (std::ranges::find(hurt, node.name) != hurt.end()) away.push_back(node.address);
  }
  canaries_.send(injection.id, samples_.shards_owned_by(hurt), away);
}

void Stage::phase(const char* name) { recording_.event("phase", {{"name", name}}); }

void Stage::on_interrupt() {
  if (interrupted_) {
    tell("interrupted again: what is broken is healed by the dead man");
    std::_Exit(kExitInterrupted);
  }
  interrupted_ = true;
  tell("interrupted: healing everything");
  recording_.event("interrupted", Json::object());
  fault_crew_.stop();
  script_.stop();
}

bool Stage::play() {
  std::function<void(asio::error_code, int)> heard = [this, &heard](asio::error_code error, int) {
    if (error) return;
    on_interrupt();
    signals_.async_wait(heard);
  };
  signals_.async_wait(heard);
  script_.spawn(script());
  context_.run();
  return !interrupted_;
}

asio::awaitable<void> Stage::script() {
  phase("begin");
  samples_.start();
  canaries_.start();
  load_.start();
  watch_crew_.spawn(guard_nodes());
  watch_crew_.spawn(report_progress());
  for (const Planned& planned : prepared_.schedule.faults) injector_.start(planned);
  co_await until_faults_end();
  co_await heal();
  if (!interrupted_) {
    co_await until_load_ends();
    co_await final_canaries();
    co_await final_reads();
  }
  phase("end");
  load_.close();
  canaries_.close();
  watch_crew_.stop();
  for (Crew* crew : {&load_crew_, &canary_crew_, &watch_crew_}) co_await crew->join();
  signals_.cancel();
}

asio::awaitable<void> Stage::until_faults_end() {
  co_await script_.sleep_until(recording_.origin() + prepared_.scenario.warmup);
  if (!interrupted_) phase("warmup_end");
  co_await script_.sleep_until(recording_.origin() + prepared_.scenario.duration);
  phase("faults_end");
  co_await fault_crew_.join();
}

// What no fault's healing brings back: nodes that ended by themselves.
asio::awaitable<void> Stage::heal() {
  const auto nodes = prepared_.backend->nodes();
  for (const BackendNode& node : nodes ? *nodes : std::vector<BackendNode>()) {
    if (node.state != NodeState::down) continue;
    const auto started = co_await injector_.perform_all(prepared_.backend->start(node));
    if (!started) tell(text(node.name, " cannot be started: ", started.error().message));
    if (started) recording_.event("started", {{"node", node.name}});
  }
  phase("healed");
  samples_.attend(kAttention);
}

asio::awaitable<void> Stage::until_load_ends() {
  const auto begun = SteadyClock::now();
  const auto settled = begun + prepared_.scenario.settle;
  auto moved = begun;
  std::uint64_t known = 0;
  bool ended = false;
  while (!script_.stopping()) {
    const LoadCounts& counts = load_.counts();
    const std::uint64_t progress = std::uint64_t{counts.tasks_acknowledged} + counts.tasks_ended;
    const auto now = SteadyClock::now();
    if (progress != known) moved = now;
    known = progress;
    if (load_.complete() && !ended) {
      ended = true;
      phase("load_end");
    }
    const bool agreed = samples_.agree() || now >= begun + kAgreeLimit;
    if (ended && agreed && now >= settled) co_return;
    if (now - moved >= prepared_.scenario.patience && !ended) {
      tell(text("no progress for ", duration_text(prepared_.scenario.patience), ": ",
                progress_text()));
      co_return;
    }
    co_await script_.sleep(kTick);
  }
}

asio::awaitable<void> Stage::final_canaries() {
  std::vector<std::uint32_t> all(canaries_.shards());
  for (std::uint32_t i = 0; i < all.size(); ++i) all[i] = i;
  canaries_.send(0, all, {});
  const auto end = SteadyClock::now() + kLastCanaries;
  while (canaries_.flying() && SteadyClock::now() < end && !script_.stopping()) {
    co_await script_.sleep(kTick);
  }
  canaries_.land_all();
}

asio::awaitable<void> Stage::final_reads() {
  Crew readers(context_);
  for (const NamedAddress& node : addresses()) readers.spawn(read_through(node));
  readers.spawn(read_canaries());
  co_await readers.join();
}

asio::awaitable<void> Stage::read_through(NamedAddress node) {
  std::unique_ptr<Client> client;
  for (const Load::Job& job : load_.jobs()) {
    if (!job.acknowledged) continue;
    Result<TaskListing> tasks = fail(ErrorCode::unavailable, "it was not asked");
    for (int tries = 0; tries < kReadTries && !script_.stopping(); ++tries) {
      if (!client) {
        ClientOptions options{.addresses = {node.address}};
        client = std::make_unique<Client>(context_, std::move(options));
      }
      tasks = co_await client->tasks(job.id);
      const bool own = client->gateway() == node.address;
      if (tasks && own && tasks->missing.empty()) break;
      // It went on with another member: that one's answer is not this node's.
      if (tasks && !own) tasks = fail(ErrorCode::unavailable, "it does not answer");
      client.reset();
    }
    history_.final_read(node.name, job.id, tasks);
  }
}

asio::awaitable<void> Stage::read_canaries() {
  std::vector<std::unique_ptr<Client>> clients;
  for (const BackendNode& node : nodes_) {
    ClientOptions options{.addresses = {node.address}};
    clients.push_back(std::make_unique<Client>(context_, std::move(options)));
  }
  // Those of a moment ago may still wait for their turn.
  const auto end = SteadyClock::now() + std::min(kLastCanaries, prepared_.scenario.patience);
  std::set<JobId> left = canaries_.acknowledged();
  std::size_t turn = 0;
  while (!left.empty() && !script_.stopping()) {
    const bool last = SteadyClock::now() >= end;
    std::set<JobId> open;
    for (const JobId id : left) {
      const std::size_t i = turn++ % clients.size();
      const auto tasks = co_await clients[i]->tasks(id);
      const bool ended = tasks && all_ended(*tasks);
      if (ended || last) history_.final_read(nodes_[i].name, id, tasks);
      if (!ended && !last) open.insert(id);
      if (script_.stopping()) break;
    }
    left = std::move(open);
    if (!left.empty()) co_await script_.sleep(kTick);
  }
}

// A node that is down although no fault has it, or had it a moment ago, has crashed. It stays down
// until the faults end, as it would with nobody there.
asio::awaitable<void> Stage::guard_nodes() {
  while (!watch_crew_.stopping()) {
    const auto nodes = prepared_.backend->nodes();
    for (const BackendNode& node : nodes ? *nodes : std::vector<BackendNode>()) {
      if (node.state != NodeState::down) {
        down_.erase(node.name);
      } else if (!injector_.holds(node.name, kExcused) && down_.insert(node.name).second) {
        recording_.event("crash", {{"node", node.name}});
        tell(text(node.name, " has ended by itself; see ", node.log.string()));
      }
    }
    recording_.flush();
    co_await watch_crew_.sleep(kGuardEvery);
  }
}

std::string Stage::progress_text() const {
  const LoadCounts& is = load_.counts();
  return text("acknowledged ", is.tasks_acknowledged, "/", is.tasks, ", ended ", is.tasks_ended,
              is.jobs_refused > 0 ? text(", ", is.jobs_refused, " jobs refused") : std::string());
}

asio::awaitable<void> Stage::report_progress() {
  while (!watch_crew_.stopping()) {
    co_await watch_crew_.sleep(kProgressEvery);
    if (watch_crew_.stopping()) co_return;
    tell(text(duration_text(Ms(recording_.now() / Ms(1))), "  ", progress_text()));
  }
}

}  // namespace shoal::chaos
