// What a Client is made of: the addresses it knows, the session it has, and how one question is put
// until it is answered.
//
// Every question may be put again on another connection: the ids in it make a repeat harmless.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "client/session.hpp"
#include "shoal/client.hpp"
#include "wire/message.hpp"

namespace shoal {

using StreamReply = std::function<Result<bool>(wire::ClientReplyBody&)>;

struct CallOptions {
  // Over all attempts; absent: ClientOptions::timeout from the beginning of the call.
  std::optional<client::SteadyTime> deadline;
  bool retry_refusals = true;  // Errors of the node that may pass; else only a lost connection.
};

class Client::Impl : public std::enable_shared_from_this<Client::Impl> {
 public:
  template <class T>
  using Task = asio::awaitable<T>;
  using SteadyTime = client::SteadyTime;

  Impl(asio::io_context& context, ClientOptions options);
  void close();
  std::string gateway() const;

  // The live session, or a new one: the next address first, then round all known ones until the
  // deadline. Callers that come while one is dialling wait for its result.
  Task<Result<std::shared_ptr<client::Session>>> connected(SteadyTime deadline);

  // One question, one answer, over as many connections as it takes. Errors the node reports as
  // `unavailable` or `overload` are retried too, and the last one is what a caller hears when time
  // is up.
  Task<Result<wire::ClientReplyBody>> call(wire::ClientRequestBody body, CallOptions options = {});
  // The same, when the answer must be an `Answer`.
  template <class Answer>
  Task<Result<Answer>> call_for(wire::ClientRequestBody body, CallOptions options = {}) {
    Result<wire::ClientReplyBody> reply = co_await call(std::move(body), options);
    if (!reply) co_return std::unexpected(reply.error());
    if (auto* answer = std::get_if<Answer>(&*reply)) co_return std::move(*answer);
    co_return fail(ErrorCode::internal, "the node gave an answer of another kind");
  }

  // A question with many answers. `on_reply` returns true when it wants no more. After a loss
  // `again` makes the question anew. Ends after the answer marked as the last.
  using OnReply = StreamReply;
  Task<Result<void>> stream(std::function<wire::ClientRequestBody()> again, OnReply on_reply);

  Task<Result<Submitted>> submit(Submission submission,
                                 std::function<void(std::uint32_t)> progress);
  Task<Result<JobStatus>> watch(JobId job, WatchOptions options, OnUpdate on_update);
  Task<Result<void>> read_log(TaskId task, int stream, bool follow, std::uint32_t attempt,
                              std::function<bool(const LogPiece&)> on_piece);
  Task<Result<JobDetails>> job(JobId id, Consistency consistency);
  Task<Result<TaskListing>> tasks(JobId id, std::uint32_t states, Consistency consistency);
  Task<Result<JobListing>> list(JobFilter filter);
  Task<Result<JobId>> resolve(std::string text);
  Task<Result<void>> command(NodeId node, wire::NodeCommandBody body);
  Task<Result<ShardCopy>> shard_copy(NodeId node, ShardId shard,
                                     std::chrono::milliseconds patience);

  SteadyTime deadline() const { return std::chrono::steady_clock::now() + options_.timeout; }
  asio::io_context& context() { return context_; }

 private:
  struct Upload;
  struct Confirming;
  Task<Result<Submitted>> submit_as(const Submission& submission, Submitted identity,
                                    const std::function<void(std::uint32_t)>& progress);
  Task<void> upload_worker(std::shared_ptr<Upload> upload);
  Task<void> confirm_worker(std::shared_ptr<Confirming> confirming);
  Task<void> confirm(JobListing& listing, std::uint32_t states);
  Task<Result<std::uint32_t>> shard_count();
  Task<Result<std::shared_ptr<client::Session>>> dial(SteadyTime deadline);
  Task<void> learn_members(std::shared_ptr<client::Session> session);
  Task<void> pause(std::chrono::milliseconds time);
  Error unreachable(const std::vector<std::string>& tried) const;
  // A gateway that cannot reach the owner for long may itself be cut off: go on with another.
  void leave_if_stale(client::Session& session);

  asio::io_context& context_;
  ClientOptions options_;
  std::vector<std::string> addresses_;  // The given ones first, then those learnt from members.
  std::size_t next_ = 0;                // Where the next dial begins.
  std::shared_ptr<client::Session> session_;
  asio::steady_timer dialled_;  // Cancelled when a dial ended, for those who wait for it.
  bool dialling_ = false;
  bool closed_ = false;
  bool ever_connected_ = false;
  std::uint64_t dials_ = 0;
  Error last_error_;
};

}  // namespace shoal
