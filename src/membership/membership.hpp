// Who is in the cluster, and who answers: SWIM (Das et al., DSN 2002) with Lifeguard (Dadgar et
// al., 2018), and what their users learned since: deaths need two accusers, the dead are remembered
// and dialled, tables are compared by digests.
//
// Liveness only steers whom to ask; it never decides who may write.
//
// 1. Identity is the NodeId. Names are labels, addresses belong to their owner: both change with
// the
//    incarnation, which only the subject raises. An incarnation is (durable boot epoch, counter),
//    so that a restarted node outranks every word about its former life.
// 2. From four members on, nobody is declared dead on one member's word. The price: the last
// survivor
//    of a larger cluster keeps the others as suspects.
// 3. What is learned in bulk (push-pull, join) may be stale: a death found there is only a
// suspicion,
//    told to the subject and to nobody else. Leave and stop are the subject's own word and count.
// 4. A split of any length up to `remember` heals: one of the dead is dialled every
// `redial_interval`.
// 5. A node that hears a stale claim that a dead member lives sends the accusation to that member.
//
// Sans I/O: give it every message of its kind, every broken stream and the time; after each input
// take the output, send its messages at once, and call on_time() no later than wake_at(). Limits:
// members, pending news and relays by config; datagrams never above kDatagramBytesMax. Tables
// travel on streams, made when asked for, so their number is bounded by the driver's write queues.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/address.hpp"
#include "base/random.hpp"
#include "base/time.hpp"
#include "membership/config.hpp"
#include "membership/dissemination.hpp"
#include "membership/failure_detector.hpp"
#include "membership/member_table.hpp"
#include "membership/suspicion.hpp"
#include "shoal/id.hpp"
#include "wire/membership_messages.hpp"

namespace shoal::membership {

enum class Channel : std::uint8_t { datagram, stream };

using Message = std::variant<wire::Ping, wire::IndirectPing, wire::PingAck, wire::PingNack,
                             wire::Gossip, wire::MemberDigest, wire::MemberTable>;

// `to` is zero when only the address is known (a seed): whoever listens there is meant.
struct Envelope {
  NodeId to;
  Address address;
  Channel channel = Channel::datagram;
  Message message;
};

// Whence a message came. `node` is authenticated. `address` is where the node listens, as far as
// the driver knows: a datagram's source, or what the stream's greeting said.
struct Source {
  NodeId node;
  Address address;
  Channel channel = Channel::datagram;
};

enum class Change : std::uint8_t { alive, suspect, dead, left, address, info, forgotten };
std::string_view to_string(Change change);

// `alive` stands for a new member, one that refuted and one that came back.
struct Event {
  NodeId node;
  Change change = Change::alive;
  bool operator==(const Event&) const = default;
};

struct Output {
  std::vector<Envelope> messages;  // Send at once, in any order.
  std::vector<Event> events;
  bool memory_changed = false;  // Persist memory() when convenient: what is lost is learned again.
  // This node as only another process of its key could have announced it: of a later start, or of
  // the same one with another nonce (F2). Nothing is refuted then.
  std::optional<wire::MemberRecord> rival;
};

// Since the start; for metrics and tests.
struct Counters {
  std::uint64_t probes_failed = 0;
  std::uint64_t accusations = 0;           // Originated here.
  std::uint64_t accusations_withheld = 0;  // For want of budget.
  std::uint64_t refutations = 0;
  std::uint64_t deaths_declared = 0;   // Here, not heard of.
  std::uint64_t stale_answered = 0;    // Invariant 5.
  std::uint64_t stream_only_acks = 0;  // The datagram path to that member may be broken.
  std::uint64_t records_rejected = 0;  // Malformed, or beyond members_max.
};

class Membership {
 public:
  // REQUIRES: `self` is not zero; the boot epoch is durable and greater than at any earlier start.
  Membership(const MembershipConfig& config, NodeId self, wire::Incarnation incarnation,
             const wire::MemberInfo& info, Random random, TimePoint now);

  // Members known before the restart, once, before any other input. All are dialled, a few at a
  // time.
  void restore(TimePoint now, std::span<const wire::MemberRecord> remembered);

  // Dials seeds, with backoff, until some member has answered. Call again when the seeds' names
  // were looked up again; the backoff goes on where it was.
  void join(TimePoint now, std::span<const Address> seeds);

  // What the seeds' names stand for, once a member has joined: those at which nobody
  // present is known are asked now and then.
  void set_seeds(TimePoint now, std::span<const Address> seeds);

  void on_message(TimePoint now, const Source& from, const wire::Ping& message);
  void on_message(TimePoint now, const Source& from, const wire::IndirectPing& message);
  void on_message(TimePoint now, const Source& from, const wire::PingAck& message);
  void on_message(TimePoint now, const Source& from, const wire::PingNack& message);
  void on_message(TimePoint now, const Source& from, const wire::Gossip& message);
  void on_message(TimePoint now, const Source& from, const wire::MemberDigest& message);
  void on_message(TimePoint now, const Source& from, const wire::MemberTable& message);

  // A stream to the peer closed or was refused: it is probed at once, not at its turn.
  void on_stream_failed(TimePoint now, NodeId peer);
  void on_time(TimePoint now);
  TimePoint wake_at() const;

  void set_load(const wire::Load& load) { load_ = load; }
  void set_info(TimePoint now,
                const wire::MemberInfo& info);  // Raises the incarnation on a change.

  // For good: the others forget this node after `remember`. It no longer refutes or probes.
  void leave(TimePoint now);
  // For a while (SIGTERM): this node says itself that it is dead, so that nobody needs to find out.
  void announce_stop(TimePoint now);
  // After either: everything about it has been sent; the process need not stay for membership's
  // sake.
  bool farewell_sent() const { return departed_ && news_.empty(); }

  // An operator removes a dead member for all. It comes back only with a higher incarnation.
  void forget(TimePoint now, NodeId member);

  const Member* find(NodeId node) const { return table_.find(node); }
  const std::map<NodeId, Member>& members() const { return table_.members(); }  // With itself.
  // The others that are alive or suspect, in no particular order.
  std::span<const NodeId> peers() const { return detector_.members(); }
  std::size_t alive_count() const { return table_.alive_count(); }
  std::size_t present_count() const { return table_.present_count(); }  // Alive or suspect.

  struct LoadSample {
    wire::Load load;
    TimePoint at;
  };
  std::optional<LoadSample> load_of(NodeId node) const;  // Absent while none was heard.

  NodeId self() const { return self_; }
  wire::Incarnation incarnation() const;
  bool joined() const { return join_.answered; }
  bool degraded() const { return detector_.degraded(); }  // Has reason to doubt itself.
  std::uint32_t local_health() const { return detector_.health(); }
  const Counters& counters() const { return counters_; }
  const MemberTable::Digest& digest() const { return table_.digest(); }

  std::vector<wire::MemberRecord> memory(TimePoint now) const;
  Output take_output();

 private:
  enum class Via : std::uint8_t { gossip, table };

  struct Join {
    std::vector<Address> seeds;
    TimePoint next = kNever;
    TimePoint started{};
    TimePoint next_log{};
    Duration backoff{};
    std::size_t known = 0;  // Members, when this join began.
    bool answered = false;
  };
  struct Gone {
    NodeId node;
    TimePoint gossip_until{};
  };

  // membership.cpp: time, and what this node does by itself.
  const Member& me() const;
  void run(TimePoint now, std::span<const FailureDetector::Step> steps);
  void run_one(TimePoint now, const FailureDetector::Step& step);
  void try_join(TimePoint now);
  std::optional<Address> stray_seed();
  void dial_restored(TimePoint now);
  void gossip(TimePoint now);
  void push_pull(TimePoint now);
  void redial(TimePoint now);
  void end_suspicions(TimePoint now);
  void depart(TimePoint now, wire::MemberState state);
  void announce_self(TimePoint now, wire::MemberRecord record);
  void send(NodeId to, const Address& address, Channel channel, Message message);
  void send_ping(TimePoint now, NodeId to, std::uint64_t sequence, Channel channel,
                 bool introduce = false);
  void send_table(TimePoint now, const Source& to, std::uint64_t bucket_mask, bool join,
                  bool reply);

  // news.cpp: what is learned, and what follows from it.
  void learn(TimePoint now, const Source& from, std::span<const wire::MemberRecord> records,
             Via via);
  bool learn_one(TimePoint now, const Source& from, const wire::MemberRecord& record, Via via);
  void learn_of_self(TimePoint now, const Source& from, const wire::MemberRecord& record);
  void doubt(TimePoint now, NodeId teller, const wire::MemberRecord& record);
  void refute(TimePoint now, const wire::MemberRecord& accusation);
  bool acceptable(const wire::MemberRecord& record) const;
  void accuse(TimePoint now, NodeId subject);
  void confirm(TimePoint now, NodeId subject, NodeId accuser);
  bool apply(TimePoint now, const wire::MemberRecord& record, bool bulk = false);
  void update_lists(TimePoint now, const Member& member, bool was_present, bool was_gone);
  void tell(TimePoint now, NodeId subject);
  void tell_directly(TimePoint now, NodeId subject, NodeId to, const Address& address);
  Dissemination::News news_for(TimePoint now, NodeId to, bool introduce = false);
  wire::MemberRecord current(TimePoint now, NodeId subject, std::uint32_t turn) const;

  MembershipConfig config_;
  NodeId self_;
  wire::Load load_;
  Random random_;
  MemberTable table_;
  FailureDetector detector_;
  Dissemination news_;
  std::map<NodeId, Suspicion> suspicions_;  // One for each suspect.
  TimePoint next_suspicion_ = kNever;       // No later than the earliest deadline.
  std::vector<Gone> gone_;                  // Dead and left.
  Join join_;
  std::vector<NodeId> undialled_;  // Restored and not yet dialled.
  TimePoint next_dial_ = kNever;
  TimePoint next_gossip_ = kNever;  // kNever while there is no news.
  TimePoint last_gossip_{};
  TimePoint next_push_pull_;
  std::uint32_t early_push_pulls_ = 4;
  TimePoint next_redial_ = kNever;  // kNever while nobody is gone and each seed is known.
  std::size_t redialled_ = 0;
  std::uint32_t told_directly_ = 0;  // Gossip sent out of turn for this input; bounded.
  bool departed_ = false;
  Output output_;
  Counters counters_;
};

}  // namespace shoal::membership
