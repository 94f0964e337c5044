#include "node/log_reader.hpp"

#include <algorithm>
#include <chrono>
#include <variant>

#include "base/format.hpp"
#include "task/record_key.hpp"

namespace shoal::node {
namespace {

using std::chrono::milliseconds;

// Between looks at something that has not changed.
constexpr Duration kPauseMin = milliseconds(100);
constexpr Duration kPauseMax = std::chrono::seconds(1);
// A piece that starts elsewhere than where it was asked from is no piece of the stream: whoever
// asked tries again after a pause. A node with too many reads answers so.
constexpr std::uint64_t kNoOffset = ~std::uint64_t{0};

}  // namespace

void LogReader::open(Now now, ClientRef client, const wire::ReadLog& ask) {
  Log& log = logs_[client];
  log.ask = ask;
  log.pause = kPauseMin;
  look(now, client, log);
}

void LogReader::drop(ClientRef client) {
  const auto found = logs_.find(client);
  if (found == logs_.end()) return;
  calls_.drop(found->second.call);
  reads_.erase(found->second.read);
  logs_.erase(found);
}

void LogReader::drop_session(SessionId session) {
  for (auto found = logs_.lower_bound({session, 0});
       found != logs_.end() && found->first.session == session;
       found = logs_.lower_bound({session, 0})) {
    drop(found->first);
  }
}

// The attempt told of is the latest and its end is not recorded yet.
bool LogReader::running(const Log& log) const {
  return log.task->state == TaskState::claimed && log.task->attempt == log.attempt;
}

// How long the attempt's stream is, once that is recorded.
std::optional<std::uint64_t> LogReader::stream_bytes(const Log& log) const {
  const TaskStatus& task = *log.task;
  if (task.attempt != log.attempt || running(log) || !task.result) return std::nullopt;
  return task.result->output_bytes.at(static_cast<std::size_t>(log.ask.stream));
}

wire::LogData LogReader::data_of(const Log& log) const {
  return {.attempt = {log.ask.task, log.attempt}, .node = log.node, .offset = log.offset};
}

void LogReader::relay(ClientRef client, wire::LogData data, bool last) {
  if (data.note.empty() && data.bytes.empty() && data.complete && !last) return;
  context_.reply(client.session, client.request, std::move(data), last);
  if (last) drop(client);
}

void LogReader::end(ClientRef client, const Log& log, std::string note, bool complete) {
  wire::LogData data = data_of(log);
  data.note = std::move(note);
  data.complete = complete;
  relay(client, std::move(data), true);
}

void LogReader::refuse(ClientRef client, Error error) {
  drop(client);
  context_.refuse(client.session, client.request, error.code, std::move(error.message));
}

void LogReader::pause(Now now, Log& log, bool look_next) {
  log.step = Step::paused;
  log.look_next = look_next;
  log.due = now.steady + log.pause;
  log.pause = std::min(log.pause * 2, kPauseMax);
}

// --- The task's record

void LogReader::look(Now now, ClientRef client, Log& log) {
  log.step = Step::looking;
  log.due = kNever;
  const TaskId task = log.ask.task;
  wire::OwnerRequestBody body = wire::GetTasks{.job = task.job, .from = task.index, .limit = 1};
  if (log.single) body = wire::GetJob{task.job};
  log.call = calls_.ask(now, task::shard_of(task, context_.shard_count), std::move(body),
                        now.steady + kClientPatience,
                        [this, client](Now then, NodeId, wire::OwnerReplyBody& reply) {
                          on_look(then, client, reply);
                        });
}

void LogReader::on_look(Now now, ClientRef client, wire::OwnerReplyBody& body) {
  Log& log = logs_.at(client);
  log.call = 0;
  if (auto* error = std::get_if<Error>(&body)) return refuse(client, std::move(*error));
  std::optional<TaskStatus> found;
  if (auto* page = std::get_if<wire::TasksReply>(&body)) {
    for (TaskStatus& task : page->tasks) {
      if (task.index == log.ask.task.index) found = std::move(task);
    }
    if (!found && log.ask.task.index == 0 && !log.single) {
      log.single = true;  // It may stand in its job's record.
      return look(now, client, log);
    }
  } else if (auto* job = std::get_if<wire::JobReply>(&body)) {
    found = std::move(job->single);
  }
  if (!found) {
    return refuse(client, {ErrorCode::not_found,
                           format("no task {} so far; `shoal show {}` lists the job's tasks",
                                  to_string(log.ask.task), to_string(log.ask.task.job))});
  }
  log.task = std::move(found);
  decide(now, client, log);
}

void LogReader::decide(Now now, ClientRef client, Log& log) {
  const TaskStatus& task = *log.task;
  if (log.told) return follow_on(now, client, log);
  if (log.attempt == 0) {
    if (task.attempt == 0) return decide_unstarted(now, client, log);
    if (log.ask.attempt > task.attempt) {
      return refuse(client, {ErrorCode::not_found,
                             format("task {} has had {} attempts so far: there is no attempt {}",
                                    to_string(log.ask.task), task.attempt, log.ask.attempt)});
    }
    log.attempt = log.ask.attempt == 0 ? task.attempt : log.ask.attempt;
    log.offset = log.ask.offset;
  }
  if (log.attempt == task.attempt) log.node = task.node;
  read(now, client, log);
}

void LogReader::decide_unstarted(Now now, ClientRef client, Log& log) {
  const TaskStatus& task = *log.task;
  if (terminal(task.state)) {
    return end(client, log,
               format("task {} was {} before it started: it has no output", to_string(log.ask.task),
                      to_string(task.state)),
               true);
  }
  if (!log.ask.follow) {
    return end(client, log,
               format("task {} has not started yet; follow its log to wait for it",
                      to_string(log.ask.task)),
               true);
  }
  log.pause = std::max<Duration>(log.pause, milliseconds(200));
  pause(now, log, true);
}

// What there was of the attempt has been told: is there another one?
void LogReader::follow_on(Now now, ClientRef client, Log& log) {
  const TaskStatus& task = *log.task;
  if (task.attempt <= log.attempt) {
    if (terminal(task.state)) return end(client, log, {}, true);
    log.pause = std::max<Duration>(log.pause, milliseconds(200));
    return pause(now, log, true);
  }
  log.attempt = task.attempt;
  log.node = task.node;
  log.offset = 0;
  log.told = false;
  log.said_away = false;
  log.answer_by = kNever;
  log.pause = kPauseMin;
  wire::LogData data = data_of(log);
  data.note = format("attempt {} starts on {}", log.attempt, member_name(context_, log.node));
  relay(client, std::move(data), false);
  read(now, client, log);
}

// --- The executing node's file

void LogReader::read(Now now, ClientRef client, Log& log) {
  const membership::Member* member = context_.membership->find(log.node);
  const bool here = log.node == context_.self();
  if (!here && (member == nullptr || member->gone())) return on_away(now, client, log);
  log.step = Step::reading;
  if (log.answer_by == kNever) log.answer_by = now.steady + kOutputPatience;
  log.due = log.answer_by;
  reads_.erase(log.read);
  log.read = fresh_id(context_, ++last_read_);
  reads_.emplace(log.read, client);
  context_.send(log.node,
                wire::ReadOutput{{.request = log.read,
                                  .attempt = {log.ask.task, log.attempt},
                                  .stream = log.ask.stream,
                                  .offset = log.offset,
                                  .bytes_max = kPieceBytes}},
                Channel::bulk);
}

void LogReader::on_output_data(Now now, NodeId from, wire::OutputData data) {
  task::OutputPiece& piece = data.piece;
  const auto found = reads_.find(piece.request);
  if (found == reads_.end()) return;
  const ClientRef client = found->second;
  Log& log = logs_.at(client);
  if (from != log.node) return;
  reads_.erase(found);
  log.read = 0;
  log.answer_by = kNever;
  log.said_away = false;
  if (!piece.known) {
    // A process that has only been granted has no file yet.
    if (running(log)) return on_caught_up(now, client, log);
    return ask_tail(now, client, log,
                    member_name(context_, log.node) + " does not have the file any more");
  }
  if (piece.offset != log.offset) return pause(now, log, false);
  const bool news = !piece.bytes.empty();
  wire::LogData relayed = data_of(log);
  relayed.bytes = std::move(piece.bytes);
  log.offset += relayed.bytes.size();
  relay(client, std::move(relayed), false);
  if (piece.ended) return on_over(now, client, log);
  if (!news) return on_caught_up(now, client, log);
  log.pause = kPauseMin;
  read(now, client, log);
}

void LogReader::on_caught_up(Now now, ClientRef client, Log& log) {
  if (!log.ask.follow) return end(client, log, {}, true);
  // The look came before the read: whoever wrote this file had ended by then.
  if (!running(log)) return on_over(now, client, log);
  // Once nothing has come for a while, the next pause is followed by a look, so that an end whose
  // news was lost is found.
  pause(now, log, log.pause >= kPauseMax);
}

void LogReader::on_over(Now now, ClientRef client, Log& log) {
  if (!log.ask.follow) return end(client, log, {}, true);
  log.told = true;
  log.pause = kPauseMin;
  look(now, client, log);
}

// --- Without the node

void LogReader::on_away(Now now, ClientRef client, Log& log) {
  log.answer_by = kNever;
  reads_.erase(log.read);
  if (!running(log)) {
    return ask_tail(now, client, log,
                    log.node ? member_name(context_, log.node) + " is away"
                             : format("the node of attempt {} is not known any more", log.attempt));
  }
  const std::string note = format("{} is away and has the output of attempt {}",
                                  member_name(context_, log.node), log.attempt);
  if (!log.ask.follow) {
    return end(client, log, note + "; ask again when it is back or the task was tried elsewhere",
               false);
  }
  if (!std::exchange(log.said_away, true)) {
    wire::LogData data = data_of(log);
    data.note = note + "; waiting for it, or for the next attempt";
    data.complete = false;
    relay(client, std::move(data), false);
  }
  pause(now, log, true);
}

void LogReader::ask_tail(Now now, ClientRef client, Log& log, const std::string& why) {
  const auto bytes = stream_bytes(log);
  if (bytes && *bytes <= log.offset) return on_over(now, client, log);
  log.step = Step::tailing;
  log.due = kNever;
  const wire::GetTail get{.attempt = {log.ask.task, log.attempt}, .stream = log.ask.stream};
  log.call = calls_.ask(now, task::shard_of(log.ask.task, context_.shard_count), get,
                        now.steady + kClientPatience,
                        [this, client, why](Now then, NodeId, wire::OwnerReplyBody& reply) {
                          on_tail(then, client, why, reply);
                        });
}

void LogReader::on_tail(Now now, ClientRef client, const std::string& why,
                        wire::OwnerReplyBody& body) {
  Log& log = logs_.at(client);
  log.call = 0;
  if (auto* error = std::get_if<Error>(&body)) return refuse(client, std::move(*error));
  auto* tail = std::get_if<wire::TailReply>(&body);
  wire::LogData data = data_of(log);
  if (tail == nullptr || !tail->known) {
    data.complete = false;
    data.note = why + "; nothing of this output was kept with the outcome";
  } else {
    // The tail is the end of the stream. What is shorter than a full tail is the whole stream.
    const std::uint64_t kept = tail->bytes.size();
    const bool whole = kept < kOutputTailBytes;
    const std::uint64_t total =
        std::max(kept, stream_bytes(log).value_or(whole ? kept : std::max(kept, log.offset)));
    const std::uint64_t start = total - kept;
    data.complete = log.offset >= start;
    data.offset = std::max(log.offset, start);
    if (data.offset < total) data.bytes = tail->bytes.substr(data.offset - start);
    if (!data.complete) data.note = why + "; this is the last 16 KiB kept with the outcome";
    log.offset = data.offset + data.bytes.size();
  }
  if (!log.ask.follow) return relay(client, std::move(data), true);
  relay(client, std::move(data), false);
  on_over(now, client, log);
}

// --- Time and closed streams

void LogReader::on_peer_closed(Now now, NodeId peer) {
  for (auto& [client, log] : logs_) {
    if (log.step != Step::reading || log.node != peer) continue;
    reads_.erase(log.read);
    log.step = Step::paused;
    log.look_next = false;
    log.due = std::min(log.answer_by, now.steady + kClosedRetry);
  }
}

void LogReader::on_time(Now now) {
  for (auto entry = logs_.begin(); entry != logs_.end();) {
    const ClientRef client = entry->first;
    Log& log = entry->second;
    ++entry;  // The log may end below.
    if (log.due > now.steady) continue;
    if (log.answer_by <= now.steady) {
      on_away(now, client, log);
    } else if (log.look_next) {
      look(now, client, log);
    } else {
      read(now, client, log);
    }
  }
}

TimePoint LogReader::wake_at() const {
  TimePoint at = kNever;
  for (const auto& [client, log] : logs_) at = std::min(at, log.due);
  return at;
}

// --- This node's own files

void LogReader::on_read_output(NodeId from, const wire::ReadOutput& request) {
  if (local_reads_.size() >= kReadsMax) {
    ++context_.counters.dropped_inputs;
    task::OutputPiece busy{.request = request.read.request};
    busy.known = true;
    busy.offset = kNoOffset;
    return context_.send(from, wire::OutputData{std::move(busy)}, Channel::bulk);
  }
  task::OutputRead read = request.read;
  const std::uint64_t id = fresh_id(context_, ++last_read_);
  local_reads_.emplace(id, LocalRead{from, read.request});
  read.request = id;
  read.bytes_max = std::min(read.bytes_max, kPieceBytes);
  context_.output.output_reads.push_back(read);
}

void LogReader::on_output_piece(task::OutputPiece piece) {
  const auto found = local_reads_.find(piece.request);
  if (found == local_reads_.end()) return;
  const LocalRead read = found->second;
  local_reads_.erase(found);
  piece.request = read.request;
  context_.send(read.from, wire::OutputData{std::move(piece)}, Channel::bulk);
}

}  // namespace shoal::node
