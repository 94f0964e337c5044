// The owner's side of jobs: creating, closing, cancelling and showing them and their tasks, in the
// shards this node owns (design of record, "Ids and jobs").
#pragma once

#include <cstdint>
#include <map>
#include <variant>
#include <vector>

#include "node/claims.hpp"
#include "node/context.hpp"
#include "node/job_tracker.hpp"
#include "node/operations.hpp"
#include "node/task_store.hpp"
#include "node/watches.hpp"

namespace shoal::node {

class JobOwner {
 public:
  JobOwner(Context& context, TaskStore& store, Operations& operations, Claims& claims,
           JobTracker& tracker, Watches& watches)
      : context_(context),
        store_(store),
        operations_(operations),
        claims_(claims),
        tracker_(tracker),
        watches_(watches) {}

  void on_requests(Now now, NodeId gateway, wire::OwnerRequests requests);

  // Questions wait for this (O4).
  void on_confirmed(const shard::ConfirmDone& done);

  // A version proposed with a token was committed.
  void on_committed(Now now, ShardId shard, const wire::RecordKey& key, const Token& token);

  // This node owns the shard from now on: its work is found in the records. `recovered`: by an
  // operator's word, from a copy that may lack what was known elsewhere.
  void on_owned(Now now, ShardId shard, bool recovered);
  void on_lost(ShardId shard);

  // The job's owner says that the job is cancelled: end what is here, and what comes later.
  void cancel_here(Now now, ShardId shard, JobId job, std::optional<std::uint32_t> index,
                   std::uint64_t operation);

 private:
  struct Request {
    NodeId gateway;
    std::uint64_t id = 0;
    ShardId shard{};
  };
  void handle(Now now, const Request& request, const wire::CreateJob& create);
  void handle(Now now, const Request& request, wire::CreateTasks& create);
  void handle(Now now, const Request& request, const wire::CloseJob& close);
  void handle(Now now, const Request& request, const wire::CancelJob& cancel);
  void handle(Now now, const Request& request, const wire::CancelTasks& cancel);
  void handle(Now now, const Request& request, const wire::GetJob& get);
  void handle(Now now, const Request& request, const wire::GetTasks& get);
  void handle(Now now, const Request& request, const wire::WatchShard& watch);
  void handle(Now now, const Request& request, const wire::GetTail& get);

  // A question whose answer decides something, waiting for its Confirm round.
  struct Question {
    Request request;
    std::variant<wire::GetJob, wire::GetTasks> body;
  };
  void answer(const Request& request, const wire::GetJob& get, bool confirmed);
  void answer(const Request& request, const wire::GetTasks& get, bool confirmed);
  void ask_confirmation(Now now);
  void await_description(Now now, ShardId shard, JobId id, ShardJob& job, std::uint64_t operation);
  bool damaged(const Request& request, const wire::RecordKey& key);
  bool may_create(const Request& request, JobId job, Now now, const TaskSpec& spec);
  task::TaskRecord new_task(Now now, ShardId shard, TaskId id, const ShardJob& job,
                            std::string argument);
  void recover_task(Now now, ShardId shard, TaskId id, bool settled);
  void adopt_task(Now now, ShardId shard, TaskId id);
  void not_found(const Request& request, JobId job);
  bool expiring(const Request& request, JobId job, Now now);

  Context& context_;
  TaskStore& store_;
  Operations& operations_;
  Claims& claims_;
  JobTracker& tracker_;
  Watches& watches_;
  std::vector<Question> questions_;                       // Of the message being handled.
  std::map<std::uint64_t, std::vector<Question>> asked_;  // By Confirm ticket.
};

}  // namespace shoal::node
