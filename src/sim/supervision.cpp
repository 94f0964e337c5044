// What a host's supervisors do for its node, and without it: launches, kills, leases, ends, and the
// report to a node that was restarted.
#include <algorithm>
#include <span>
#include <utility>

#include "sim/simulator.hpp"

namespace shoal::sim {
namespace {

using namespace std::chrono_literals;

constexpr Duration kPieceGapMax = 300ms;  // Between two pieces of one supervisor's report.
constexpr Duration kPoisonedFor = 2s;     // Until a host that a task took down is back.

}  // namespace

void Simulator::expect(NodeIndex index, const Processes::Ending& ending) {
  if (ending.at == kNever) return;
  events_.push(std::max(ending.at, now_), ProcessDue{index, ending});
}

void Simulator::expect(NodeIndex index, const std::vector<Processes::Ending>& endings) {
  for (const Processes::Ending& ending : endings) expect(index, ending);
}

void Simulator::launch(NodeIndex index, const task::Launch& each) {
  Host& at = host(index);
  const auto ending =
      at.processes.launch(now_, wall_at(at), each, at.clock.world(each.lease_end), random_);
  if (!ending) return tell_ended(index, each.attempt);
  ++figures_.launches;
  trace_.add(now_, index, TraceKind::process_started, content_hash(each.attempt));
  expect(index, *ending);
  if (hooks_.process_started) hooks_.process_started(index, each.attempt, each.spec);
  if (hooks_.progressed) hooks_.progressed(index);
}

// A launch that still waits for the disk leaves with the longer lease.
void Simulator::extend(NodeIndex index, const task::Extend& each, Deferred& deferred) {
  Host& at = host(index);
  if (deferred.extend(each) || at.disk.extend(each)) return;
  at.processes.extend(each, at.clock.world(each.lease_end));
}

// A kill that meets its own launch on the way to the disk takes it back (daemon/effect_order.hpp).
void Simulator::kill(NodeIndex index, const task::Kill& each, Deferred& deferred) {
  Host& at = host(index);
  if (!deferred.take_back(each.attempt) && !at.disk.take_back(each.attempt)) {
    if (const auto ending = at.processes.kill(now_, each)) expect(index, *ending);
    return;
  }
  task::ProcessEnded ended{.attempt = each.attempt, .result = {}, .tails = {}};
  ended.result.reason = each.reason;
  ended.result.signal = 9;
  ended.result.exit_status = 128 + 9;
  ended.result.started = ended.result.ended = wall_at(at);
  after(Duration::zero(), [this, index, boot = at.boot, ended = std::move(ended)]() mutable {
    if (host(index).boot != boot) return;
    input(index, [ended = std::move(ended)](node::Node& node, Now now) mutable {
      node.on_process_ended(now, std::move(ended));
    });
  });
}

// As an event of its own: a launch may find at once that it is over.
void Simulator::tell_ended(NodeIndex index, const AttemptId& attempt) {
  after(Duration::zero(), [this, index, boot = host(index).boot, attempt] {
    if (host(index).boot != boot || !up(index)) return;
    auto ended = host(index).processes.take_ended(attempt);
    if (!ended) return;
    input(index, [ended = std::move(*ended)](node::Node& node, Now now) mutable {
      node.on_process_ended(now, std::move(ended));
    });
  });
}

void Simulator::ended_unheard(NodeIndex index, const std::vector<AttemptId>& attempts) {
  for (const AttemptId& attempt : attempts) {
    trace_.add(now_, index, TraceKind::process_ended, content_hash(attempt));
    if (hooks_.process_ended) hooks_.process_ended(index, attempt);
  }
}

void Simulator::begin_recovery(NodeIndex index) {
  Host& starting = host(index);
  const ProcessOptions& options = starting.processes.options();
  starting.reports_awaited = std::max(options.supervisors, 1U);
  for (std::uint32_t supervisor = 0; supervisor < starting.reports_awaited; ++supervisor) {
    const bool late = random_.chance(options.report_late_percent, 100);
    const Duration delay =
        options.report_delay + random_.below(late ? options.report_late_max : options.report_delay);
    events_.push(now_ + delay, ReportDue{index, starting.boot, supervisor, false, {}});
  }
}

void Simulator::on(ReportDue due) {
  Host& at = host(due.at);
  if (at.node == nullptr || at.boot != due.boot) return;
  if (!std::exchange(due.begun, true)) due.left = at.processes.held_by(due.supervisor, now_);
  std::size_t count = due.left.size();
  if (count > 1 && random_.chance(at.processes.options().report_pieces_percent, 100)) {
    count = 1 + random_.below(count);
  }
  std::vector<task::RecoveredAttempt> running;
  std::vector<task::ProcessEnded> ended;
  for (const AttemptId& attempt : std::span(due.left).first(count)) {
    Processes::Reported reported = at.processes.report(attempt);
    if (auto* one = std::get_if<task::RecoveredAttempt>(&reported)) running.push_back(*one);
    if (auto* one = std::get_if<task::ProcessEnded>(&reported)) ended.push_back(std::move(*one));
  }
  due.left.erase(due.left.begin(), due.left.begin() + static_cast<std::ptrdiff_t>(count));
  trace_.add(now_, due.at, TraceKind::recovered, running.size() << 32 | ended.size());
  figures_.recovered += running.size();
  if (!running.empty()) {
    input(due.at, [running = std::move(running)](node::Node& node, Now now) mutable {
      node.on_recovered(now, std::move(running));
    });
  }
  for (task::ProcessEnded& each : ended) {
    input(due.at, [each = std::move(each)](node::Node& node, Now now) mutable {
      node.on_process_ended(now, std::move(each));
    });
  }
  if (!due.left.empty()) {
    events_.push(now_ + random_.below(kPieceGapMax), std::move(due));
  } else if (--at.reports_awaited == 0) {
    input(due.at, [](node::Node& node, Now now) { node.on_recovery_complete(now); });
  }
}

void Simulator::on(ProcessDue due) {
  Host& at = host(due.at);
  const Processes::Due happens = at.processes.due(now_, due.ending, wall_at(at));
  if (happens.again) expect(due.at, *happens.again);
  if (!happens.ended) return;
  trace_.add(now_, due.at, TraceKind::process_ended, content_hash(due.ending.attempt));
  if (hooks_.process_ended) hooks_.process_ended(due.at, due.ending.attempt);
  if (!happens.poison) return tell_ended(due.at, due.ending.attempt);
  crash_host(due.at);
  after(kPoisonedFor, [this, index = due.at, boot = at.boot] {
    if (!up(index) && host(index).boot == boot) start(index);
  });
}

void Simulator::on(TasksResume due) {
  Host& at = host(due.at);
  if (at.suspended || at.suspensions != due.suspension) return;
  if (hooks_.processes_resumed) hooks_.processes_resumed(due.at);
  expect(due.at, at.processes.thaw(now_));
}

}  // namespace shoal::sim
