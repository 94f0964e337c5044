// ShowTasks at the gateway: one page of a job's tasks, gathered from the owners of their shards.
//
// A page is a window of indices, asked for by runs of 32, one request each; what they hold is
// merged in index order. Windows without a task in a wanted state are passed over, so that a page
// is empty only at the job's end. Pages are bounded in bytes: `more` says that the client goes on
// behind the last index. A shard that nobody answers for makes the page partial, and is named.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <vector>

#include "node/context.hpp"
#include "node/owner_calls.hpp"

namespace shoal::node {

inline constexpr std::uint32_t kPageTasksMax = 1024;

class TaskPager {
 public:
  TaskPager(Context& context, OwnerCalls& calls) : context_(context), calls_(calls) {}

  // REQUIRES: `client` has no page open.
  void open(Now now, ClientRef client, const wire::ShowTasks& ask);
  void drop(ClientRef client);
  void drop_session(SessionId session);
  bool contains(ClientRef client) const { return pages_.contains(client); }
  std::size_t size() const { return pages_.size(); }

 private:
  struct Page {
    wire::ShowTasks ask;
    std::uint32_t next = 0;                        // First index of the next window.
    std::uint32_t count = 0;                       // Of the job.
    std::map<std::uint32_t, std::uint64_t> calls;  // By first index asked for.
    std::vector<TaskStatus> tasks;
    std::set<ShardId> missing;
  };

  void on_job(Now now, ClientRef client, wire::OwnerReplyBody& body);
  void ask_window(Now now, ClientRef client, Page& page);
  void ask_run(Now now, ClientRef client, Page& page, std::uint32_t from, std::uint32_t end);
  bool silent_lately(Now now, ShardId shard) const;
  void on_run(Now now, ClientRef client, std::uint32_t from, std::uint32_t end,
              wire::OwnerReplyBody& body);
  void answer(ClientRef client, Page& page);
  void fail(ClientRef client, const wire::OwnerReplyBody& body);

  Context& context_;
  OwnerCalls& calls_;
  std::map<ClientRef, Page> pages_;
  std::map<ShardId, TimePoint> silent_;  // When nobody answered for the shard in kRunPatience.
};

}  // namespace shoal::node
