// A real node that owns all shards, alone with its disk; a test plays the executing nodes n2 and
// n3, and the client.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "base/log.hpp"
#include "node/inspection.hpp"
#include "node/node.hpp"
#include "sim/disk.hpp"
#include "wire/codec.hpp"

namespace shoal::node {

struct OwnerWorld {
  static constexpr SessionId kClient{7};

  // Without capacity of its own: what is ready waits for pulls.
  explicit OwnerWorld(std::uint32_t cpu_millis = 0) : cpu_millis_(cpu_millis) {
    log::set_level(log::Level::error);
    boot();
  }
  ~OwnerWorld() { log::set_level(log::Level::info); }
  OwnerWorld(const OwnerWorld&) = delete;
  OwnerWorld& operator=(const OwnerWorld&) = delete;

  static NodeId id(std::uint64_t number) { return {.high = number, .low = number}; }
  static Address address(std::uint64_t number) {
    return ipv4(10, 0, 0, static_cast<std::uint8_t>(number), 7461);
  }

  // The process ends and another one begins, with what is on disk.
  void restart() {
    node.reset();
    disk.crash(random);
    boot();
  }

  // A message of an executing node.
  void from(std::uint64_t number, wire::Message message) {
    node->on_message(now, source(number), std::move(message));
    settle();
  }
  void pass(Duration time) {
    const TimePoint end = now.steady + time;
    while (wake_at_ <= end) {
      advance(std::max(wake_at_, now.steady));
      node->on_time(now);
      settle();
    }
    advance(end);
  }
  // Carries outputs out until nothing moves. While `disk_held`, nothing becomes durable.
  void settle() {
    for (bool moved = true; moved;) {
      Output output = node->take_output();
      wake_at_ = output.wake_at;
      moved = !output.messages.empty();
      for (Envelope& envelope : output.messages) route(std::move(envelope));
      ready(disk.add(std::move(output.writes), {.promises = std::move(output.promises),
                                                .launches = std::move(output.launches),
                                                .replies = std::move(output.replies),
                                                .store_reads = {}}));
      while (!disk_held && disk.begin_sync(random)) {
        for (sim::Deferred& deferred : disk.end_sync()) {
          moved = true;
          ready(std::move(deferred));
        }
      }
    }
  }

  // The test lets writes become durable only when it says so.
  void hold_disk() { disk_held = true; }
  void release_disk() {
    disk_held = false;
    settle();
  }

  // A task of its own job, ready.
  TaskId submit(TaskSpec spec = {.argv = {"work"}}) {
    const auto seconds = std::chrono::floor<std::chrono::seconds>(now.wall);
    const JobId job = JobId::mint(seconds, Retention::week, random.next());
    wire::CreateJob create{.job = job, .nonce = {1, 2}, .spec = std::move(spec), .single = true};
    node->on_client(now, kClient, {++requests_, std::move(create)});
    settle();
    return {job, 0};
  }
  // The Grant that answers this pull, if one came.
  std::optional<wire::Grant> pull(std::uint64_t number, std::uint64_t transfer) {
    from(number, wire::Pull{.transfer = transfer,
                            .sent = now.steady,
                            .cpu_millis = 4000,
                            .memory_bytes = 0,
                            .count_max = 8});
    return last<wire::Grant>(number);
  }
  std::optional<wire::Renewed> renew(std::uint64_t number, wire::Renew renewal) {
    if (renewal.sent == TimePoint{}) renewal.sent = now.steady;
    from(number, std::move(renewal));
    return last<wire::Renewed>(number);
  }

  // The last message of this kind to that node since the last call; the others are dropped.
  template <class Body>
  std::optional<Body> last(std::uint64_t number) {
    std::optional<Body> found;
    std::erase_if(sent, [&](auto& item) {
      auto* body = std::get_if<Body>(&item.second);
      if (body == nullptr || item.first != id(number)) return false;
      found = std::move(*body);
      return true;
    });
    return found;
  }
  HeldTask task(TaskId wanted) const {
    for (const HeldTask& held : node->inspect().tasks()) {
      if (held.task == wanted) return held;
    }
    return {};
  }

  Now now{TimePoint(std::chrono::hours(1)), WallTime(std::chrono::hours(500'000))};
  Random random{1};
  sim::Disk disk{{}};
  std::unique_ptr<Node> node;
  std::vector<std::pair<NodeId, wire::Message>> sent;
  std::vector<task::Launch> launched;
  std::vector<wire::ClientReply> heard;
  bool disk_held = false;

 private:
  void boot() {
    NodeConfig config;
    config.id = id(1);
    config.name = "n1";
    config.address = address(1);
    config.cpu_millis = cpu_millis_;
    config.shard_count = 1;
    node = std::make_unique<Node>(config, random.next());
    disk.restore(*node);
    wire::MemberTable known;
    for (const std::uint64_t number : {2U, 3U}) {
      known.records.push_back({.node = id(number),
                               .incarnation = {1, 0},
                               .accuser = {},
                               .info = wire::MemberInfo{.address = address(number)}});
    }
    node->restore_meta("members", wire::encode_message(known));
    node->start(now);
    node->on_recovery_complete(now);
    settle();
    pass(std::chrono::milliseconds(100));
  }
  Source source(std::uint64_t number) const {
    return {id(number), node->cluster(), address(number), Channel::stream};
  }
  void advance(TimePoint to) {
    now.wall += std::chrono::duration_cast<std::chrono::milliseconds>(to - now.steady);
    now.steady = to;
  }
  void ready(std::optional<sim::Deferred> deferred) {
    if (!deferred) return;
    for (Envelope& envelope : deferred->promises) route(std::move(envelope));
    std::ranges::move(deferred->launches, std::back_inserter(launched));
    for (ClientAnswer& answer : deferred->replies) heard.push_back(std::move(answer.reply));
  }
  // The other nodes are alive: they answer probes, and remember nothing against this one.
  void route(Envelope envelope) {
    if (envelope.to == id(1)) {
      node->on_message(now, source(1), std::move(envelope.message));
      return;
    }
    if (const auto* ping = std::get_if<wire::Ping>(&envelope.message)) {
      const std::uint64_t number = ping->target.low;
      node->on_message(now, source(number), wire::PingAck{.sequence = ping->sequence});
      return;
    }
    if (const auto* query = std::get_if<wire::StoreQuery>(&envelope.message)) {
      node->on_message(
          now, source(envelope.to.low),
          wire::StoreAnswer{query->mark, query->settled ? query->mark : wire::StoreMark{}, 0,
                            id(1)});
      return;
    }
    sent.emplace_back(envelope.to, std::move(envelope.message));
  }

  std::uint32_t cpu_millis_;
  std::uint64_t requests_ = 0;
  TimePoint wake_at_ = kNever;
};

}  // namespace shoal::node
