#include "node/gateway.hpp"

#include <algorithm>
#include <utility>
#include <variant>

#include "base/format.hpp"
#include "task/record.hpp"
#include "task/record_key.hpp"

namespace shoal::node {
namespace {

const char kOtherKind[] =
    "the shard's owner gave an answer of another kind; are all nodes of one version? ask again "
    "through another node";

// What is wrong with the elements, for people.
std::optional<std::string> validate_elements(const std::vector<wire::NewElement>& elements) {
  for (const wire::NewElement& element : elements) {
    if (element.index >= kJobTasksMax) {
      return format("element {} is beyond the limit of {} tasks in a job; split the job",
                    element.index, kJobTasksMax);
    }
    if (element.argument.size() > kArgumentBytesMax) {
      return format("the argument of element {} has {} bytes and the limit is {}; hand in a file",
                    element.index, element.argument.size(), kArgumentBytesMax);
    }
  }
  return std::nullopt;
}

// What one operation has at the owners at once, about: each part carries the template, so all parts
// of one large request would be many times its size.
constexpr std::size_t kWindowBytes = std::size_t{4} * 1024 * 1024;

std::size_t element_bytes(const wire::NewElement& element) {
  return sizeof(element) + element.argument.size();
}

}  // namespace

Gateway::Gateway(Context& context, LocalViews local, OnCommand on_command)
    : context_(context),
      on_command_(std::move(on_command)),
      calls_(context),
      pager_(context, calls_),
      watches_(context, calls_),
      listings_(context, calls_, std::move(local)),
      logs_(context, calls_) {}

std::size_t Gateway::open_count() const {
  return operations_.size() + pager_.size() + watches_.size() + listings_.size() + logs_.size();
}

bool Gateway::known(ClientRef client) const {
  return operations_.contains(client) || pager_.contains(client) || watches_.contains(client) ||
         listings_.contains(client) || logs_.contains(client);
}

ShardId Gateway::shard_of(JobId job) const { return task::shard_of(job, context_.shard_count); }

bool Gateway::admitted(ClientRef client) {
  if (known(client)) {
    context_.refuse(
        client.session, client.request, ErrorCode::bad_input,
        format("request {} of this connection is still open; number them anew", client.request));
    return false;
  }
  if (open_count() >= kClientRequestsMax) {
    context_.refuse(client.session, client.request, ErrorCode::overload,
                    format("this node has {} requests of clients open, its limit; retry in a "
                           "second, or through another node",
                           kClientRequestsMax));
    return false;
  }
  if (calls_.kept_bytes() + later_bytes_ >= kKeptBytesMax) {
    context_.refuse(client.session, client.request, ErrorCode::overload,
                    "this node holds 64 MiB of submissions that owners have not acknowledged yet, "
                    "its limit; retry in a second, or through another node");
    return false;
  }
  return true;
}

void Gateway::on_client(Now now, SessionId session, wire::ClientRequest request) {
  const ClientRef client{session, request.id};
  if (context_.shard_count == 0 && !std::holds_alternative<wire::ListMembers>(request.body)) {
    context_.refuse(
        session, request.id, ErrorCode::unavailable,
        format("this node does not serve yet: {}; retry, or ask another node", waiting_for_));
    return;
  }
  if (!admitted(client)) return;
  std::visit([&](auto& body) { handle(now, client, body); }, request.body);
}

void Gateway::on_forget(Now, SessionId session, std::uint64_t request) {
  const ClientRef client{session, request};
  drop_operation(client);
  pager_.drop(client);
  watches_.drop(client);
  listings_.drop(client);
  logs_.drop(client);
}

void Gateway::on_closed(Now, SessionId session) {
  for (auto found = operations_.lower_bound({session, 0});
       found != operations_.end() && found->first.session == session;
       found = operations_.lower_bound({session, 0})) {
    drop_operation(found->first);
  }
  pager_.drop_session(session);
  watches_.drop_session(session);
  listings_.drop_session(session);
  logs_.drop_session(session);
}

// --- Requests

void Gateway::handle(Now now, ClientRef client, wire::CommandNode& command) {
  on_command_(now, client.session, client.request, std::move(command));
}

void Gateway::handle(Now now, ClientRef client, wire::CreateJob& create) {
  const ShardId shard = shard_of(create.job);
  start(now, client, {shard, std::move(create)});
}

// One part for each shard, and further ones where a message would not hold it.
void Gateway::handle(Now now, ClientRef client, wire::CreateTasks& create) {
  if (const auto wrong = validate_elements(create.elements)) {
    return context_.refuse(client.session, client.request, ErrorCode::bad_input, *wrong);
  }
  if (create.elements.empty()) {
    return context_.reply(client.session, client.request, wire::Done{});
  }
  Operation& operation = operations_[client];
  operation.deadline = now.steady + kClientPatience;
  std::map<ShardId, std::vector<wire::NewElement>> by_shard;
  for (wire::NewElement& element : std::exchange(create.elements, {})) {
    const TaskId id{create.job, element.index};
    by_shard[task::shard_of(id, context_.shard_count)].push_back(std::move(element));
  }
  const std::size_t fixed = task::spec_bytes(create.spec);
  for (auto& [shard, elements] : by_shard) {
    std::size_t bytes = kMessageBytes;
    for (wire::NewElement& element : elements) {
      const std::size_t size = element_bytes(element);
      if (bytes + size > kMessageBytes) {
        operation.later.push_back({shard, {}});
        bytes = fixed;
      }
      bytes += size;
      operation.later_bytes += size;
      operation.later.back().second.push_back(std::move(element));
    }
  }
  later_bytes_ += operation.later_bytes;
  operation.create = std::move(create);
  ask_later(now, client, operation);
}

void Gateway::handle(Now now, ClientRef client, const wire::CloseJob& close) {
  start(now, client, {shard_of(close.job), close});
}

void Gateway::handle(Now now, ClientRef client, const wire::CancelRequest& cancel) {
  if (!cancel.index) {
    return start(now, client, {shard_of(cancel.job), wire::CancelJob{cancel.job}});
  }
  const ShardId shard = task::shard_of(TaskId{cancel.job, *cancel.index}, context_.shard_count);
  start(now, client, {shard, wire::CancelTasks{cancel.job, cancel.index}});
}

void Gateway::handle(Now now, ClientRef client, const wire::GetJob& get) {
  start(now, client, {shard_of(get.job), get}, true);
}

void Gateway::handle(Now now, ClientRef client, const wire::ShowTasks& show) {
  pager_.open(now, client, show);
}

void Gateway::handle(Now now, ClientRef client, const wire::ListJobs& list) {
  listings_.list_jobs(now, client, list);
}

void Gateway::handle(Now now, ClientRef client, const wire::WatchJob& watch) {
  if (watches_.size() >= kWatchesMax) {
    return context_.refuse(
        client.session, client.request, ErrorCode::overload,
        format("this node relays {} watches, its limit; retry through another node", kWatchesMax));
  }
  watches_.open(now, client, watch);
}

void Gateway::handle(Now now, ClientRef client, const wire::ReadLog& read) {
  logs_.open(now, client, read);
}

void Gateway::handle(Now now, ClientRef client, const wire::ListMembers& list) {
  listings_.list_members(now, client, list,
                         context_.shard_count == 0 ? waiting_for_ : std::string());
}

void Gateway::handle(Now, ClientRef client, const wire::GetRing& get) {
  wire::Ring ring{.shard_count = context_.shard_count};
  const auto add = [&](ShardId shard) {
    const wire::TableEntry* entry = context_.table->find(shard);
    if (entry == nullptr) return ring.rows.push_back({.shard = shard});
    ring.rows.push_back({.shard = shard,
                         .home = entry->config.home,
                         .owner = entry->owner.node,
                         .round = entry->owner.round});
  };
  if (get.job) {
    add(shard_of(*get.job));
  } else {
    for (std::uint32_t shard = 0; shard < context_.shard_count; ++shard) add(ShardId{shard});
  }
  context_.reply(client.session, client.request, std::move(ring));
}

// --- Parts

void Gateway::start(Now now, ClientRef client, Part part, bool wants_job) {
  Operation& operation = operations_[client];
  operation.deadline = now.steady + kClientPatience;
  operation.wants_job = wants_job;
  ask_part(now, client, operation, std::move(part));
}

void Gateway::ask_part(Now now, ClientRef client, Operation& operation, Part part) {
  const std::size_t bytes = body_bytes(part.second);
  ++operation.waiting;
  operation.waiting_bytes += bytes;
  operation.calls.push_back(
      calls_.ask(now, part.first, std::move(part.second), operation.deadline,
                 [this, client, bytes](Now then, NodeId, wire::OwnerReplyBody& reply) {
                   on_part(then, client, bytes, reply);
                 }));
}

void Gateway::ask_later(Now now, ClientRef client, Operation& operation) {
  while (!operation.later.empty()) {
    if (operation.waiting_bytes >= kWindowBytes) return;
    auto [shard, elements] = std::move(operation.later.front());
    operation.later.pop_front();
    std::size_t bytes = 0;
    for (const wire::NewElement& element : elements) bytes += element_bytes(element);
    operation.later_bytes -= bytes;
    later_bytes_ -= bytes;
    wire::CreateTasks part = operation.create;
    part.elements = std::move(elements);
    ask_part(now, client, operation, {shard, std::move(part)});
  }
}

void Gateway::drop_operation(ClientRef client) {
  const auto found = operations_.find(client);
  if (found == operations_.end()) return;
  for (const std::uint64_t call : found->second.calls) calls_.drop(call);
  later_bytes_ -= found->second.later_bytes;
  operations_.erase(found);
}

void Gateway::on_part(Now now, ClientRef client, std::size_t bytes, wire::OwnerReplyBody& body) {
  Operation& operation = operations_.at(client);
  --operation.waiting;
  operation.waiting_bytes -= bytes;
  auto* job = std::get_if<wire::JobReply>(&body);
  if (const auto* done = std::get_if<wire::Done>(&body); done != nullptr && !operation.wants_job) {
    operation.copies = std::min(operation.copies, done->copies);
  } else if (job != nullptr && operation.wants_job) {
    context_.reply(client.session, client.request, std::move(*job));
    return drop_operation(client);
  } else {
    const auto* error = std::get_if<Error>(&body);
    const Error told = error != nullptr ? *error : Error{ErrorCode::internal, kOtherKind};
    const bool passing = told.code == ErrorCode::unavailable || told.code == ErrorCode::overload;
    if (!passing) {
      drop_operation(client);
      return context_.refuse(client.session, client.request, told.code, told.message);
    }
    // The other parts go on: what they create need not be sent again.
    if (!operation.error) operation.error = told;
  }
  ask_later(now, client, operation);
  if (operation.waiting > 0) return;
  if (operation.error) {
    context_.refuse(client.session, client.request, operation.error->code,
                    operation.error->message);
  } else {
    context_.reply(client.session, client.request, wire::Done{operation.copies});
  }
  drop_operation(client);
}

// --- From nodes

void Gateway::on_replies(Now now, NodeId from, wire::OwnerReplies replies) {
  calls_.on_replies(now, from, std::move(replies));
}

void Gateway::on_events(Now now, wire::TaskEvents events) {
  watches_.on_events(now, std::move(events));
}

void Gateway::on_job_event(Now now, wire::JobEvent event) { watches_.on_job_event(now, event); }

void Gateway::on_node_query(Now, NodeId from, const wire::NodeQuery& query) {
  listings_.on_query(from, query);
}

void Gateway::on_node_answer(Now, NodeId from, wire::NodeAnswer answer) {
  listings_.on_answer(from, std::move(answer));
}

void Gateway::on_read_output(Now, NodeId from, const wire::ReadOutput& request) {
  logs_.on_read_output(from, request);
}

void Gateway::on_output_piece(Now, task::OutputPiece piece) {
  logs_.on_output_piece(std::move(piece));
}

void Gateway::on_output_data(Now now, NodeId from, wire::OutputData data) {
  logs_.on_output_data(now, from, std::move(data));
}

void Gateway::on_peer_closed(Now now, NodeId peer) {
  calls_.on_peer_closed(now, peer);
  watches_.on_peer_closed(now, peer);
  logs_.on_peer_closed(now, peer);
}

void Gateway::on_time(Now now) {
  calls_.on_time(now);
  watches_.on_time(now);
  listings_.on_time(now);
  logs_.on_time(now);
}

TimePoint Gateway::wake_at() const {
  return std::min({calls_.wake_at(), watches_.wake_at(), listings_.wake_at(), logs_.wake_at()});
}

void Gateway::flush(Now now) { calls_.flush(now); }

}  // namespace shoal::node
