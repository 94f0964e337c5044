#include "daemon/effect_order.hpp"

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

}  // namespace

Effects EffectOrder::on_output(node::Output output) {
  Effects now;
  now.messages = std::move(output.messages);
  now.answers = std::move(output.errors);
  now.kills = std::move(output.kills);
  now.store_reads = std::move(output.store_reads);
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
  return now;
}

void EffectOrder::hold(node::Output& output) {
  if (output.promises.empty() && output.launches.empty() && output.replies.empty()) return;
  if (held_.empty() || held_.back().sequence < last_) held_.push_back({.sequence = last_});
  Held& held = held_.back();
  append(held.promises, output.promises);
  append(held.launches, output.launches);
  append(held.replies, output.replies);
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
    held_.pop_front();
  }
  return now;
}

}  // namespace shoal::daemon
