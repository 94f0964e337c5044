// ReadLog at the gateway: one stream of a task's output, from the node that ran the attempt, and on
// to the next attempt when the client follows; and the other end of it, reading this node's files
// for other gateways.
//
// Output stays on the executing node. While that node is away, the tail that its owner keeps with
// the outcome (at most kOutputTailBytes) stands in: it is the end of the stream, and when it is not
// all of it the answer says so (LogData::complete).
//
// Limits: kReadsMax reads of this node's files at once; to further ones the answer is a piece at an
// offset nobody asked for, so that they are tried again after a pause.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "node/context.hpp"
#include "node/owner_calls.hpp"

namespace shoal::node {

inline constexpr std::uint32_t kPieceBytes = 64 * 1024;
inline constexpr std::size_t kReadsMax = 4096;
inline constexpr Duration kOutputPatience = std::chrono::seconds(3);

class LogReader {
 public:
  LogReader(Context& context, OwnerCalls& calls) : context_(context), calls_(calls) {}

  // REQUIRES: `client` has no log open.
  void open(Now now, ClientRef client, const wire::ReadLog& ask);
  void drop(ClientRef client);
  void drop_session(SessionId session);
  bool contains(ClientRef client) const { return logs_.contains(client); }
  std::size_t size() const { return logs_.size(); }

  void on_output_data(Now now, NodeId from, wire::OutputData data);
  void on_peer_closed(Now now, NodeId peer);
  void on_time(Now now);
  TimePoint wake_at() const;

  // This node's own files.
  void on_read_output(NodeId from, const wire::ReadOutput& request);
  void on_output_piece(task::OutputPiece piece);

 private:
  // `looking`: at the task's record. `reading`: a piece was asked for. `paused`: until `due`.
  enum class Step : std::uint8_t { looking, reading, tailing, paused };

  struct Log {
    wire::ReadLog ask;
    bool single = false;             // The task stands in its job's record.
    std::optional<TaskStatus> task;  // As it was last looked at.
    std::uint32_t attempt = 0;       // The one told of; 0: none was chosen yet.
    NodeId node;                     // Where it runs or ran; zero: not known.
    std::uint64_t offset = 0;
    bool told = false;  // All there will be of this attempt has been sent, as far as it can be.
    bool said_away = false;
    Step step = Step::looking;
    bool look_next = false;  // After the pause; else it reads.
    std::uint64_t call = 0;
    std::uint64_t read = 0;
    Duration pause{};
    TimePoint due = kNever;
    TimePoint answer_by = kNever;  // Of the node, since the first unanswered read.
  };
  struct LocalRead {
    NodeId from;
    std::uint64_t request = 0;
  };

  void look(Now now, ClientRef client, Log& log);
  void on_look(Now now, ClientRef client, wire::OwnerReplyBody& body);
  void decide(Now now, ClientRef client, Log& log);
  void decide_unstarted(Now now, ClientRef client, Log& log);
  void follow_on(Now now, ClientRef client, Log& log);
  void read(Now now, ClientRef client, Log& log);
  void on_caught_up(Now now, ClientRef client, Log& log);
  void on_over(Now now, ClientRef client, Log& log);
  void on_away(Now now, ClientRef client, Log& log);
  // `why` the node's file is not read, for people.
  void ask_tail(Now now, ClientRef client, Log& log, const std::string& why);
  void on_tail(Now now, ClientRef client, const std::string& why, wire::OwnerReplyBody& body);
  void pause(Now now, Log& log, bool look_next);
  void relay(ClientRef client, wire::LogData data, bool last);
  void end(ClientRef client, const Log& log, std::string note, bool complete);
  void refuse(ClientRef client, Error error);
  bool running(const Log& log) const;
  std::optional<std::uint64_t> stream_bytes(const Log& log) const;
  wire::LogData data_of(const Log& log) const;

  Context& context_;
  OwnerCalls& calls_;
  std::map<ClientRef, Log> logs_;
  std::map<std::uint64_t, ClientRef> reads_;  // Pieces asked of other nodes, and of this one.
  std::map<std::uint64_t, LocalRead> local_reads_;
  std::uint64_t last_read_ = 0;
};

}  // namespace shoal::node
