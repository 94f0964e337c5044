#include "node/task_pager.hpp"

#include <algorithm>
#include <utility>
#include <variant>

#include "task/record_key.hpp"

namespace shoal::node {
namespace {

constexpr std::size_t kTaskFixedBytes = 250;
// Then the page is answered without the tasks of that shard.
constexpr Duration kRunPatience = std::chrono::seconds(5);
// Of a shard that was silent lately, so that a long listing does not wait for it at every page.
constexpr Duration kSilentPatience = std::chrono::milliseconds(500);
constexpr Duration kSilentLately = std::chrono::seconds(30);

std::size_t task_bytes(const TaskStatus& task) {
  return kTaskFixedBytes + task.argument.size() + (task.result ? task.result->message.size() : 0);
}

}  // namespace

void TaskPager::open(Now now, ClientRef client, const wire::ShowTasks& ask) {
  Page& page = pages_[client];
  page.ask = ask;
  page.ask.limit = std::clamp(ask.limit, 1U, kPageTasksMax);
  page.next = ask.from;
  page.calls[0] = calls_.ask(
      now, task::shard_of(ask.job, context_.shard_count), wire::GetJob{ask.job, ask.local},
      now.steady + kClientPatience,
      [this, client](Now then, NodeId, wire::OwnerReplyBody& body) { on_job(then, client, body); });
}

void TaskPager::drop(ClientRef client) {
  const auto found = pages_.find(client);
  if (found == pages_.end()) return;
  for (const auto& [from, call] : found->second.calls) calls_.drop(call);
  pages_.erase(found);
}

void TaskPager::drop_session(SessionId session) {
  for (auto found = pages_.lower_bound({session, 0});
       found != pages_.end() && found->first.session == session;
       found = pages_.lower_bound({session, 0})) {
    drop(found->first);
  }
}

void TaskPager::fail(ClientRef client, const wire::OwnerReplyBody& body) {
  const auto* error = std::get_if<Error>(&body);
  drop(client);
  if (error == nullptr) {
    context_.refuse(client.session, client.request, ErrorCode::internal,
                    "the shard's owner gave an answer of another kind; are all nodes of one "
                    "version? ask again through another node");
    return;
  }
  context_.refuse(client.session, client.request, error->code, error->message);
}

void TaskPager::on_job(Now now, ClientRef client, wire::OwnerReplyBody& body) {
  Page& page = pages_.at(client);
  page.calls.clear();
  auto* job = std::get_if<wire::JobReply>(&body);
  if (job == nullptr) return fail(client, body);
  page.count = job->status.count;
  if (job->single) {
    const auto state = static_cast<unsigned>(job->single->state);
    if (page.ask.from == 0 && (page.ask.states >> state & 1) != 0) {
      page.tasks.push_back(std::move(*job->single));
    }
    page.next = page.count;
    return answer(client, page);
  }
  ask_window(now, client, page);
}

void TaskPager::ask_window(Now now, ClientRef client, Page& page) {
  if (page.next >= page.count) return answer(client, page);
  const std::uint32_t end = page.next + std::min(page.ask.limit, page.count - page.next);
  for (std::uint32_t from = page.next; from < end;) {
    const std::uint32_t run_end = std::min(end, (from / task::kRunLength + 1) * task::kRunLength);
    ask_run(now, client, page, from, run_end);
    from = run_end;
  }
  page.next = end;
}

bool TaskPager::silent_lately(Now now, ShardId shard) const {
  const auto found = silent_.find(shard);
  return found != silent_.end() && now.steady < found->second + kSilentLately;
}

void TaskPager::ask_run(Now now, ClientRef client, Page& page, std::uint32_t from,
                        std::uint32_t end) {
  const wire::GetTasks get{.job = page.ask.job,
                           .from = from,
                           .limit = end - from,
                           .states = page.ask.states,
                           .local = page.ask.local};
  const ShardId shard = task::shard_of(TaskId{get.job, from}, context_.shard_count);
  const bool lately = silent_lately(now, shard);
  page.calls[from] =
      calls_.ask(now, shard, get, now.steady + (lately ? kSilentPatience : kRunPatience),
                 [this, client, from, end](Now then, NodeId, wire::OwnerReplyBody& body) {
                   on_run(then, client, from, end, body);
                 });
}

void TaskPager::on_run(Now now, ClientRef client, std::uint32_t from, std::uint32_t end,
                       wire::OwnerReplyBody& body) {
  Page& page = pages_.at(client);
  page.calls.erase(from);
  auto* reply = std::get_if<wire::TasksReply>(&body);
  const auto* error = std::get_if<Error>(&body);
  const bool silent = error != nullptr && error->code == ErrorCode::unavailable;
  if (reply == nullptr && !silent) return fail(client, body);
  wire::TasksReply nothing;
  const ShardId shard = task::shard_of(TaskId{page.ask.job, from}, context_.shard_count);
  if (silent) {
    page.missing.insert(shard);
    if (!silent_lately(now, shard)) silent_[shard] = now.steady;
    reply = &nothing;
  } else {
    silent_.erase(shard);
  }
  std::uint32_t last = from;
  bool any = false;
  for (TaskStatus& task : reply->tasks) {
    if (task.index < from || task.index >= end) continue;
    last = std::max(last, task.index);
    any = true;
    page.tasks.push_back(std::move(task));
  }
  // An owner cuts its answer short when the tasks are large.
  if (reply->more && any && last + 1 < end) ask_run(now, client, page, last + 1, end);
  if (!page.calls.empty()) return;
  if (page.tasks.empty() && page.missing.empty()) return ask_window(now, client, page);
  answer(client, page);
}

void TaskPager::answer(ClientRef client, Page& page) {
  std::ranges::sort(page.tasks, {}, &TaskStatus::index);
  wire::TasksReply reply{.more = page.next < page.count,
                         .missing = {page.missing.begin(), page.missing.end()},
                         .next = page.next};
  std::size_t bytes = 0;
  for (TaskStatus& task : page.tasks) {
    bytes += task_bytes(task);
    if (bytes > kMessageBytes && !reply.tasks.empty()) {
      reply.more = true;
      reply.next = task.index;
      break;
    }
    reply.tasks.push_back(std::move(task));
  }
  context_.reply(client.session, client.request, std::move(reply));
  drop(client);
}

}  // namespace shoal::node
