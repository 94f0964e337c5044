#include "daemon/effect_order.hpp"

#include <algorithm>
#include <csignal>
#include <iterator>
#include <utility>

#include "base/assert.hpp"

namespace shoal::daemon {
namespace {

template <class T>
void append(std::vector<T>& to, std::vector<T>& from) {
  if (to.empty()) {
    to.swap(from);
    return;
  }
  to.insert(to.end(), std::make_move_iterator(from.begin()), std::make_move_iterator(from.end()));
  from.clear();
}

bool erase_launch(std::vector<task::Launch>& launches, const AttemptId& attempt) {
  return std::erase_if(launches,
                       [&](const task::Launch& launch) { return launch.attempt == attempt; }) > 0;
}

task::ProcessEnded never_started(const task::Kill& kill) {
  task::ProcessEnded ended{.attempt = kill.attempt, .result = {}, .tails = {}};
  ended.result.reason = kill.reason;
  ended.result.signal = SIGKILL;
  ended.result.exit_status = 128 + SIGKILL;
  ended.result.message = "the attempt was ended before its process was started";
  return ended;
}

}  // namespace

void Effects::shift_leases(const std::function<TimePoint(TimePoint)>& shifted) {
  for (task::Launch& launch : launches) launch.lease_end = shifted(launch.lease_end);
  for (task::Extend& extend : extensions) extend.lease_end = shifted(extend.lease_end);
}

std::uint64_t bytes_of(const std::vector<wire::Write>& writes) {
  std::uint64_t bytes = 0;
  for (const wire::Write& write : writes) {
    if (const auto* put = std::get_if<wire::PutRecord>(&write)) bytes += put->record.value.size();
  }
  return bytes;
}

Effects EffectOrder::on_output(node::Output output) {
  Effects now;
  now.messages = std::move(output.messages);
  now.answers = std::move(output.errors);
  for (const task::Kill& kill : output.kills) {
    if (take_back(kill.attempt, output)) {
      now.ended.push_back(never_started(kill));
    } else {
      now.kills.push_back(kill);
    }
  }
  for (const task::Extend& extend : output.extensions) {
    if (task::Launch* const launch = waiting(extend.attempt, output)) {
      launch->lease_end = std::max(launch->lease_end, extend.lease_end);
    } else {
      now.extensions.push_back(extend);
    }
  }
  now.settled = std::move(output.settled);
  now.output_reads = std::move(output.output_reads);
  if (!output.writes.empty()) {
    now.writes = std::move(output.writes);
    now.sequence = ++last_;
  }
  if (durable_ < last_) {
    hold(output);
    return now;
  }
  append(now.messages, output.promises);
  append(now.answers, output.replies);
  now.launches = std::move(output.launches);
  now.store_reads = std::move(output.store_reads);
  return now;
}

task::Launch* EffectOrder::waiting(const AttemptId& attempt, node::Output& output) {
  const auto find = [&attempt](std::vector<task::Launch>& launches) {
    const auto found = std::ranges::find(launches, attempt, &task::Launch::attempt);
    return found == launches.end() ? nullptr : &*found;
  };
  if (task::Launch* const launch = find(output.launches)) return launch;
  for (Held& held : held_) {
    if (task::Launch* const launch = find(held.launches)) return launch;
  }
  return nullptr;
}

bool EffectOrder::take_back(const AttemptId& attempt, node::Output& output) {
  if (erase_launch(output.launches, attempt)) return true;
  return std::ranges::any_of(held_,
                             [&](Held& held) { return erase_launch(held.launches, attempt); });
}

void EffectOrder::hold(node::Output& output) {
  if (output.promises.empty() && output.launches.empty() && output.replies.empty() &&
      output.store_reads.empty()) {
    return;
  }
  if (held_.empty() || held_.back().sequence < last_) held_.push_back({.sequence = last_});
  Held& held = held_.back();
  append(held.promises, output.promises);
  append(held.launches, output.launches);
  append(held.replies, output.replies);
  append(held.store_reads, output.store_reads);
}

Effects EffectOrder::on_durable(std::uint64_t sequence) {
  SHOAL_ASSERT(sequence <= last_ && sequence >= durable_);
  durable_ = sequence;
  Effects now;
  while (!held_.empty() && held_.front().sequence <= durable_) {
    Held& held = held_.front();
    append(now.messages, held.promises);
    append(now.launches, held.launches);
    append(now.answers, held.replies);
    append(now.store_reads, held.store_reads);
    held_.pop_front();
  }
  return now;
}

}  // namespace shoal::daemon
