// The client library: hands jobs to a cluster through any of its nodes and follows them to their
// end.
//
// A Client knows a list of addresses and talks to one node at a time, its gateway. When that node
// dies the client goes on with another member by itself: ids are minted here, so nothing is
// submitted twice. Asynchronous with Asio coroutines; SyncClient is the same for simple programs.
// One Client belongs to one io_context and one thread.
#pragma once

#include <array>
#include <asio/awaitable.hpp>
#include <asio/io_context.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "shoal/cluster.hpp"
#include "shoal/id.hpp"
#include "shoal/job.hpp"
#include "shoal/result.hpp"

namespace shoal {

struct ClientOptions {
  // HOST:PORT each; tried in turn. Empty: 127.0.0.1:7461.
  std::vector<std::string> addresses;
  std::chrono::milliseconds connect_timeout{1000};
  // Over all attempts to reach some node for one call; then ErrorCode::unavailable, naming what was
  // tried. A client that never reached any node gives up after one round of all addresses.
  std::chrono::milliseconds timeout{15000};
};

struct Submitted {
  JobId id;
  Nonce nonce;
  std::uint32_t copies = 0;  // Disks that the acknowledgement stands on.
};

// A job to hand in: one task (no elements) or an array.
struct Submission {
  std::string name;
  TaskSpec spec;
  bool array = false;
  std::vector<std::string> arguments;  // One for each element of an array.
  Retention retention = Retention::week;
  std::optional<JobId> id;  // Set with `nonce` to resume an interrupted submission.
  std::optional<Nonce> nonce;
  // Hears the id as soon as the job's record is on disk, while an array's elements still go in.
  std::function<void(const Submitted&)> on_created;
};

// A task that changed, and its output tails when it ended and output was asked for.
struct TaskUpdate {
  TaskStatus status;
  std::optional<std::array<std::string, 2>> tails;
};

struct LogPiece {
  std::uint32_t attempt = 0;
  NodeId node;
  std::uint64_t offset = 0;  // Of `bytes` in the attempt's stream.
  std::string bytes;
  std::string note;      // For people.
  bool complete = true;  // False: the node that has the rest did not answer.
};

struct WatchOptions {
  bool tasks = true;
  bool with_output = false;
};

class Client {
 public:
  Client(asio::io_context& context, ClientOptions options);
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  // Returns when the whole job is on disk at a majority of its homes. `progress` hears how many
  // tasks are.
  asio::awaitable<Result<Submitted>> submit(Submission submission,
                                            std::function<void(std::uint32_t)> progress = {});

  // Follows a job until it is finished; each task's updates arrive in order and without repeats.
  // `on_update` returning false ends the watch early (the result is then the last status known).
  using OnUpdate = std::function<bool(const std::vector<TaskUpdate>&, const JobStatus*)>;
  asio::awaitable<Result<JobStatus>> watch(JobId job, WatchOptions options, OnUpdate on_update);

  asio::awaitable<Result<JobDetails>> job(JobId id, Consistency consistency = Consistency::strong);
  // Every task whose state's bit is set.
  asio::awaitable<Result<TaskListing>> tasks(JobId id, std::uint32_t states = ~0U,
                                             Consistency consistency = Consistency::strong);
  asio::awaitable<Result<JobListing>> list(JobFilter filter);
  asio::awaitable<Result<void>> cancel(JobId job, std::optional<std::uint32_t> index = {});
  // Output of one stream (0 = stdout, 1 = stderr) of a task; `on_piece` hears it piece by piece.
  asio::awaitable<Result<void>> read_log(TaskId task, int stream, bool follow,
                                         std::uint32_t attempt,
                                         std::function<bool(const LogPiece&)> on_piece);
  // Without figures the gateway answers from its own table, at once.
  asio::awaitable<Result<ClusterView>> members(bool with_figures = true);
  asio::awaitable<Result<RingView>> ring(std::optional<JobId> job = {});

  // Operators' commands. Each may be given again without harm, and each names its node, since
  // another gateway may pass it on. ErrorCode::unavailable leaves open whether it was obeyed.
  asio::awaitable<Result<void>> drain(NodeId node, bool on);
  // The node's shards move away, then it ends; members() shows how far it is. `now`: it does not
  // wait for them.
  asio::awaitable<Result<void>> leave(NodeId node, bool now);
  // REQUIRES: the member is dead.
  asio::awaitable<Result<void>> forget(NodeId node);
  // What `node` holds of the shard.
  asio::awaitable<Result<ShardCopy>> shard_copy(NodeId node, ShardId shard,
                                                std::chrono::milliseconds patience);
  // `survivor` adopts its copy of a shard whose majority is lost for good. What only the lost ones
  // knew is given up, and they are never listened to again.
  asio::awaitable<Result<void>> recover(NodeId survivor, ShardId shard, std::vector<NodeId> lost);

  // A whole id, a unique prefix, a name of one job, or "@last". Errors name the candidates.
  asio::awaitable<Result<JobId>> resolve(std::string text);

  std::string gateway() const;  // Address of the node talked to; empty when none.

 private:
  class Impl;
  std::shared_ptr<Impl> impl_;
};

// The same calls, each run to its end. For simple programs.
class SyncClient {
 public:
  explicit SyncClient(ClientOptions options);
  Result<Submitted> submit(Submission submission);
  Result<JobStatus> wait(JobId job,
                         std::function<bool(const std::vector<TaskUpdate>&)> on_update = {});
  Result<JobDetails> job(JobId id);
  Result<void> cancel(JobId id);

 private:
  asio::io_context context_;
  Client client_;
};

}  // namespace shoal
