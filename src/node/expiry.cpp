#include "node/expiry.hpp"

#include <algorithm>
#include <chrono>
#include <utility>
#include <vector>

#include "base/log.hpp"
#include "base/probes.hpp"

namespace shoal::node {
namespace {

// A record that never expires is looked at no more than this often; one made in between says itself
// when it is over (Context::new_expiries).
constexpr std::chrono::milliseconds kLookMax{3'600'000};

std::uint64_t seconds_of(WallTime time) {
  const auto count =
      std::chrono::duration_cast<std::chrono::seconds>(time.time_since_epoch()).count();
  return static_cast<std::uint64_t>(std::max<std::int64_t>(0, count));
}

}  // namespace

bool Expiry::clock_trusted(Now now) {
  std::vector<std::int64_t> ahead;  // Of this clock, in milliseconds.
  for (const auto& [node, member] : context_.membership->members()) {
    const bool heard = member.load.wall_ms != 0 && member.load_at != TimePoint{};
    if (node == context_.self() || member.state != wire::MemberState::alive || !heard) continue;
    const auto age =
        std::chrono::duration_cast<std::chrono::milliseconds>(now.steady - member.load_at);
    ahead.push_back(now.wall.time_since_epoch().count() - member.load.wall_ms - age.count());
  }
  if (ahead.empty()) return true;
  const auto middle = ahead.begin() + static_cast<std::ptrdiff_t>(ahead.size() / 2);
  std::ranges::nth_element(ahead, middle);
  const bool trusted = std::chrono::milliseconds(*middle < 0 ? -*middle : *middle) <= kClockTrust;
  if (!trusted && !distrusted_) {
    log::warn("node",
              "this machine's clock is {} s off the other nodes'; nothing expires here until it is "
              "set right",
              *middle / 1000);
  }
  distrusted_ = !trusted;
  return trusted;
}

bool Expiry::end_task(Now now, ShardId shard, TaskId id) {
  auto held = store_.proposed(shard, id);
  if (!held) return true;  // Damaged, or an array's job record.
  if (terminal(held->task.state)) {
    const auto shown = store_.committed(shard, id);
    return shown.presence == TaskStore::Presence::present && terminal(shown.task.state);
  }
  const Token token{
      .change = Change::cancel, .from = held->task.state, .to = TaskState::expired, .operation = 0};
  probes::mark(probes::Mark::expired_given);
  held->task.state = TaskState::expired;
  store_.put(now, shard, id, *held, token);
  return false;
}

std::size_t Expiry::look_through(Now now, ShardId shard) {
  const std::uint64_t present = seconds_of(now.wall);
  const std::uint64_t floor = seconds_of(now.wall - kFloorDelay);
  std::uint64_t next = seconds_of(now.wall + kLookMax);
  std::vector<TaskId> due;
  bool below_floor = false;
  std::size_t looked = 0;
  context_.shards->for_each_record(shard,
                                   [&](const wire::RecordKey& key, const std::string&, bool) {
                                     ++looked;
                                     const auto expiry = task::expiry_of({key.high, key.low});
                                     if (!expiry) return;
                                     if (*expiry > present) {
                                       next = std::min(next, *expiry);
                                       return;
                                     }
                                     below_floor = below_floor || *expiry <= floor;
                                     const task::RecordName name = record_name(key);
                                     if (name.kind == task::RecordKind::element)
                                       due.push_back({name.job, name.index});
                                     if (name.kind == task::RecordKind::job)
                                       due.push_back({name.job, 0});
                                   });
  bool all_ended = true;
  for (const TaskId& id : due) all_ended = end_task(now, shard, id) && all_ended;
  const bool past = !due.empty() || below_floor;
  if (below_floor && all_ended) {
    context_.shards->raise_floor(now.steady, shard, floor);
    store_.drop_expired(shard, floor);
    tracker_.drop_expired(shard, floor);
    log::debug("node", "shard {}: records past their retention are gone",
               static_cast<std::uint32_t>(shard));
  }
  look_at_[shard] = past ? now.wall : WallTime(std::chrono::seconds(next));
  return looked;
}

void Expiry::on_time(Now now) {
  if (now.steady < next_) return;
  next_ = now.steady + kExpiryInterval;
  for (const auto& [shard, expiry] : std::exchange(context_.new_expiries, {})) {
    const auto known = look_at_.find(shard);
    if (known == look_at_.end()) continue;
    known->second = std::min(known->second, WallTime(std::chrono::seconds(expiry)));
  }
  std::vector<ShardId> due;
  for (const auto& [shard, at] : look_at_) {
    if (at <= now.wall && context_.serves(shard)) due.push_back(shard);
  }
  if (due.empty() || !clock_trusted(now)) return;
  std::size_t looked = 0;
  for (const ShardId shard : due) {
    looked += look_through(now, shard);
    if (looked >= kRecordsAtOnce) break;
  }
}

}  // namespace shoal::node
